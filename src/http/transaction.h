/* One request and its answer, as the routes see them. Nothing here knows how they travel.
 *
 *     request_check -> router -> [ body ] -> handler -> answer
 *
 * A transaction belongs to one thread at a time: the server's until the handler runs, then
 * the thread that the handler passed it to. */
#ifndef HTTP_TRANSACTION_H
#define HTTP_TRANSACTION_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "image/image.h"

struct http_transaction;
struct http_route;
struct api_service;
struct store;

enum http_method {
    HTTP_GET = 1,
    HTTP_HEAD = 2,
    HTTP_PUT = 4,
    HTTP_POST = 8,
    HTTP_DELETE = 16,
    HTTP_PATCH = 32,
    HTTP_PURGE = 64,
};

#define HTTP_HEADERS_MAX 16

struct http_answer {
    int status;        /* 0: none yet */
    int close;         /* the connection ends behind it */
    int retry_after_s; /* of 503 and 429, which always say Retry-After; 0: a moment */
    int headers_len;
    struct http_header {
        const char *name; /* a literal */
        char *value;
    } headers[HTTP_HEADERS_MAX];
    char *text; /* the body, or: */
    size_t text_len;
    struct image *image; /* bytes first ... first + length - 1 of it */
    int64_t first, length;
    enum http_keep { HTTP_KEEP_NONE, HTTP_KEEP_PLAIN, HTTP_KEEP_VERSIONED } keep; /* with the image, which is hot */
    struct image_extra *kept; /* what is kept with it, once something is */
    /* Or a stream: called for the next bytes, up to max of them. Returns how many, 0 when there are none for now (it is
     * called again within a second), -1 at the end. It must not wait. */
    ssize_t (*stream)(struct http_transaction *x, char *to, size_t max);
};

struct http_transaction {
    const struct api_service *service;
    struct store *store; /* of the service */
    const struct http_route *route;
    enum http_method method;
    char *target;               /* as it was sent; what follows points into it: */
    char *raw_path;             /* without the query */
    char *raw_query;            /* behind the '?', or NULL */
    const char *tail;           /* what the route's pattern left open, still encoded; inside raw_path */
    struct image_key key;       /* of routes that name an image; path is in `path` */
    char *path;                 /* decoded */
    void *state;                /* the handler's own; freed with the exchange */
    struct buf body;            /* or, when it is large: */
    int body_fd;                /* a file that holds it; -1: none */
    int64_t body_bytes;         /* of either */
    int64_t session_expires_us; /* of the session that it came with; 0: none */
    int detailed;               /* HTTP_DETAILS: it came with a token or a session */
    int has_token;              /* it came with a token of PERDURA_API_TOKEN */
    size_t host_len;            /* of a target in absolute-form: so much before raw_path is its host; else 0 */
    int is_plain;               /* the same URL gets the same answer: no header asks for a part or sets a condition */
    unsigned lane;              /* of its thread (response.h) */
    int64_t started_us;
    int64_t db_deadline_ms; /* for who works for it on a thread that may wait (pools.h) */
    struct http_answer answer;
    void (*step)(struct http_transaction *x); /* what a thread that may wait has to do */
    void (*next)(struct http_transaction *x); /* set by a handler that waited, when another has to go on */
    void *carrier;                            /* the server's */
};

/* The value of a header that came once; NULL when it did not come. Of one that came several times, the first. */
const char *http_header(const struct http_transaction *x, const char *name);

/* The host with or without a port that it was sent to; *ret_len bytes. NULL: it names none. */
const char *http_host(const struct http_transaction *x, size_t *ret_len);

/* All values of a header that is a list, joined by ", ". To be freed; NULL when it did not come. */
char *http_header_list(const struct http_transaction *x, const char *name);

/* The client's address: an IPv6 one, or an IPv4 one as mapped (RFC 4291 section 2.5.5.2). */
void http_peer(const struct http_transaction *x, unsigned char ret[16]);

/* The request's query, to be released. -EINVAL: it is answered (400). */
struct url_query;
int http_query(struct http_transaction *x, struct url_query *ret) __attribute__((warn_unused_result));

/* The number that the tail begins with, a whole segment of the path; 0: it is none. */
int64_t http_tail_number(const struct http_transaction *x);

/* Leaves the server's thread: the handler returns, and http_done is called later, by any thread, once. */
void http_later(struct http_transaction *x);
void http_done(struct http_transaction *x);

/* As http_later, and `step` goes on with it on a thread that may wait; it is done when that returns, unless x->next is
 * set. A queue that is full is answered. */
void http_wait(struct http_transaction *x, void (*step)(struct http_transaction *x));

/* Answers. Each sets the status and the body; headers may be added before or after. */
void http_answer_empty(struct http_transaction *x, int status);
void http_answer_json(struct http_transaction *x, int status, json_t *body); /* takes the reference */
void http_answer_text(struct http_transaction *x, int status, const char *mime, char *text,
                      size_t len); /* takes text */
/* application/problem+json; not to be stored by caches. */
void http_answer_problem(struct http_transaction *x, int status, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));
/* Likewise with members of its own (RFC 9457, 3.2), which it takes. */
void http_answer_problem_json(struct http_transaction *x, int status, json_t *members, const char *detail);
/* 503: the same request may be taken a moment later; */
void http_answer_later(struct http_transaction *x, const char *detail);
/* or once something is set and the service was started again. */
void http_answer_unset(struct http_transaction *x, const char *detail);
/* A problem for what store/ or a job said: -ENOENT 404, -EINVAL 400, -EFBIG 413, unavailable 503. `what` names the
 * object of a text that does not ("the image" "is not stored"); NULL: every text names it. */
void http_answer_error(struct http_transaction *x, const char *what, const struct error *why);
/* Likewise, for what could not be done because of it: `consequence`, a colon and the text. */
void http_answer_consequence(struct http_transaction *x, const char *consequence, const struct error *why);
/* Answers with what was kept, status, headers and all, for an equal request about the same image, which is in the
 * answer already. -ENOENT: nothing is. */
int http_answer_kept(struct http_transaction *x) __attribute__((warn_unused_result));
void http_add_header(struct http_transaction *x, const char *name, const char *value_fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
