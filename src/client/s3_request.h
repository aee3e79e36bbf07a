/* One signed request and its repetitions; private to client/s3*.c. */
#ifndef CLIENT_S3_REQUEST_H
#define CLIENT_S3_REQUEST_H

#include "base/buf.h"
#include "client/s3.h"
#include "codec/digest.h"

#define S3_HEADERS_MAX 6

/* A request; `init`, then what differs. */
struct s3_request {
    enum fetch_method method;
    const char *bucket;
    const char *key;                     /* NULL: the bucket itself */
    const char *query;                   /* encoded, its names sorted, each with a '='; NULL: none */
    const char *headers[S3_HEADERS_MAX]; /* signed like the rest; NULL: none more */
    const struct fetch_body *body;
    const unsigned char *sha256;   /* the body's; NULL: it is empty */
    const struct fetch_sink *sink; /* NULL: what comes is gathered in `gathered`, or dropped */
    struct buf *gathered;          /* emptied before each try; its maximum is the caller's; NULL: dropped */
    int64_t begin_by_ms;           /* of the sink's first byte; 0: none */
};

/* Asks once. */
int s3_ask_once(struct s3 *s3, const struct s3_call *call, const struct s3_request *request, struct fetch_answer *ret,
                struct error *e) __attribute__((warn_unused_result));

/* Counts the tries of one call. */
struct s3_patience {
    int tries;
    int64_t begin_by_ms; /* no pause goes beyond; 0: none */
};

/* After a try that returned `code` (0: it was answered): 1 when it is worth another one, after the pause; 0 when it is
 * not; -ECANCELED. */
int s3_wait(struct s3_patience *p, const struct s3_call *call, int code, const struct fetch_answer *answer)
    __attribute__((warn_unused_result));

/* Asks until an answer came that another try would not change. 0: the request was carried out, by its status; all else
 * is told (s3_tell), such as a 304 or 206 that nobody asked for. For requests without a sink. */
int s3_ask(struct s3 *s3, const struct s3_call *call, const struct s3_request *request, struct fetch_answer *ret,
           struct error *e) __attribute__((warn_unused_result));

/* An answer that is an error, in one line: its code. */
int s3_tell(const struct s3 *s3, const struct s3_request *request, const struct fetch_answer *answer, struct error *e);

/* Likewise for what brought no answer: e has why. Returns the code. */
int s3_tell_broken(const struct s3 *s3, int code, struct error *e);

/* For s3_tell: the host, and the settings' names are known there. */
const char *s3_endpoint(const struct s3 *s3);
const char *s3_region(const struct s3 *s3);

/* What of an answer belongs to the object. */
void s3_object_from(struct s3_object *ret, const struct fetch_answer *answer);

#endif
