/* HTTP requests to other servers, one blocking transfer a call, on the caller's thread; libcurl's only owner.
 *
 *     fetch_pool_open -> [ fetch, from any number of threads ]... -> fetch_pool_close
 *
 * A pool keeps connections alive between calls and holds the rules that no call gets around:
 *
 *   - It asks either one origin that the operator has set up (an S3 endpoint, wherever that is), or only hosts of a
 *     list. A URL is compared after it was parsed, by the parser whose result is then connected to; one with a user or
 *     password in it is refused.
 *   - Of the list's hosts, the address that is connected to is looked at, each time, at the moment of connecting: names
 *     that lead into a private network, now or a moment later, are of no use (net_address.h).
 *   - https only, but for an origin that says http, and where private sources are allowed.
 *   - Redirects are followed hop by hop under the same rules, FETCH_REDIRECTS_MAX at most, and by GET and HEAD alone;
 * an origin's never are, so that no signature reaches a second host.
 *   - No proxy, whatever the environment says: behind one nobody could tell which address was connected to. No netrc,
 * no cookies, no answers but HTTP/1.1's.
 *
 * What failed is told by the code:
 *   -EPERM       refused by the rules above
 *   -ENOTCONN    could not connect
 *   -EPROTO      connected, but no TLS came of it
 *   -EBADE     what came is not an HTTP answer, or its head contradicts itself or has more than FETCH_HEAD_MAX bytes
 *   -ECONNRESET  the connection broke before an answer came
 *   -ENODATA     the connection broke before the whole answer had come
 *   -ETIMEDOUT   a time limit
 *   -EFBIG       the body is larger than it may be
 *   -ECANCELED   *cancel was set
 *   -ENOMEM      and what the body's or the sink's own functions returned
 * The text begins with the host; the rest of a URL, which can hold secrets, is in no text. */
#ifndef CLIENT_HTTP_FETCH_H
#define CLIENT_HTTP_FETCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FETCH_REDIRECTS_MAX 5
#define FETCH_HEAD_MAX      (64 << 10)

struct fetch_pool;

struct fetch_policy {
    const char *origin;  /* "https://host:port", without a path: it alone is asked, whatever its address. NULL: */
    const char *allowed; /* the hosts that may be asked, "host,host:port" (listvalue.h); NULL: none */
    int private_allowed; /* of these, plain http and any address, too */
    const char *ca_file; /* certificates in PEM form that servers' ones must descend from; NULL: the system's */
};

/* The one for the hosts of PERDURA_ALLOWED_SOURCES. Borrows from the settings. */
struct config;
struct fetch_policy fetch_policy_sources(const struct config *config);

/* Connects to nothing yet. Copies what it keeps. 0, -ENOMEM. */
int fetch_pool_open(struct fetch_pool **ret, const struct fetch_policy *policy, struct error *e)
    __attribute__((warn_unused_result));
/* No transfer is under way any more. NULL is allowed. */
void fetch_pool_close(struct fetch_pool *pool);

/* Whether the rules for URLs let this one be asked; connects to nothing. 0, -EPERM, -ENOMEM. */
int fetch_check_url(struct fetch_pool *pool, const char *url, struct error *e) __attribute__((warn_unused_result));

/* What is sent. It is asked for from the start again when a transfer is repeated. */
struct fetch_body {
    int64_t len;
    /* Reads up to n (> 0) bytes from `offset` on into dst: how many, at least one, or -errno, which ends the
     * transfer. */
    long (*read_at)(void *arg, int64_t offset, void *dst, size_t n);
    void *arg;
};

/* Where the body of an answer goes, piece by piece. Not 0: ends the transfer, which returns it. */
struct fetch_sink {
    int (*write)(void *arg, const void *bytes, size_t n);
    void *arg;
};

/* Amazon's Signature Version 4 for S3. The x-amz-content-sha256 header is the caller's. */
struct fetch_signature {
    const char *region, *key_id, *secret;
};

enum fetch_method { FETCH_GET, FETCH_HEAD, FETCH_PUT, FETCH_POST, FETCH_DELETE };

/* All borrowed until fetch() returns. */
struct fetch_request {
    enum fetch_method method;
    const char *url;
    const char *const *headers;              /* "Name: value", ended by NULL; may be NULL */
    const struct fetch_body *body;           /* of PUT and POST; NULL: empty */
    const struct fetch_sink *sink;           /* gets the body of a 200 or 206; NULL: it is dropped */
    int64_t max_bytes;                       /* that may go to the sink */
    const struct fetch_signature *signature; /* NULL: unsigned; only where the pool has an origin */
    int connect_ms;                          /* 0: 10 s */
    int stalled_s;                           /* no more than a trickle for so long breaks it; 0: 30 s */
    int64_t deadline_ms;                     /* clock_monotonic_ms; of the whole transfer, redirects included */
    /* For who is waited for: when the sink's first byte has to be there; from then on 1 KiB in stalled_s. 0: no such.
     */
    int64_t begin_by_ms;
    const atomic_int *cancel; /* may be NULL; looked at once a second at least */
};

/* How a client knows that the body is complete (RFC 9112 section 6.3). A body that the end of the connection ends may
 * have been cut off: nobody can tell. */
enum fetch_end { FETCH_END_BY_CLOSE, FETCH_END_BY_LENGTH, FETCH_END_BY_CHUNK };

/* Texts that the server did not send, or that do not fit, are "". */
struct fetch_answer {
    int status;
    enum fetch_end end;
    int contradicts; /* the head itself: lengths that differ, a length beside chunks, a coding that was not requested,
                      * or a status that is none */
    int64_t length;  /* Content-Length; -1: not told */
    int64_t first, last;   /* of a 206: the bytes that Content-Range names, inclusive; -1: not told */
    int64_t whole_length;  /* likewise the length behind the '/'; -1: not told */
    int64_t date_s;        /* Date, in seconds since 1970; -1: not told */
    int64_t retry_after_s; /* Retry-After as seconds from now; -1: not told */
    char etag[256];        /* with its quotes */
    char content_type[128];
    char last_modified[64];
    char cache_control[256];
    char region[64];   /* x-amz-bucket-region */
    char detail[4096]; /* the beginning of the body when the status is neither 200 nor 206 */
    size_t detail_len;
};

/* Asks, and waits for the whole answer. 0 when one came, whatever its status. *ret is filled in before the sink gets
 * its first byte. */
int fetch(struct fetch_pool *pool, const struct fetch_request *request, struct fetch_answer *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
