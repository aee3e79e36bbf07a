/* S3-compatible object storage (Amazon S3 API reference): one endpoint, path-style, signed with Signature Version 4.
 * Works on the caller's thread; an object never lies whole in memory, neither in nor out.
 *
 *     s3_open -> [ s3_get ... s3_list, from any number of threads ]... -> s3_close
 *
 * Every call repeats what failed in passing: 429 and 5xx, connections refused or broken in the middle, a time limit of
 * one request. The pauses grow and are random in part, Retry-After is obeyed, and nothing goes on beyond the call's
 * deadline. What is broken off while it comes in goes on where it ended.
 *
 * What failed for good is told by the code, and in one line that says what to do:
 *   -ENOENT      no such object
 *   -ENXIO       no such bucket
 *   -EACCES      the key, its secret, its rights, the region or the clock: see the line
 *   -ENOTCONN    the storage can't be reached, or could not serve however often it was asked
 *   -ETIMEDOUT   the deadline
 *   -EBADE     it answers as no S3 does, or with something else than what was asked for
 *   -EPROTO      no TLS came of it
 *   -ENODATA     the connection broke before the whole answer had come, however often it was asked
 *   -EIO         what it has is not what was sent
 *   -ESTALE      the object was replaced while it was read
 *   -ERANGE      the range begins behind the object's end
 *   -EFBIG       the object is larger than it may be
 *   -ECANCELED   *cancel was set
 *   -ENOMEM      and what a body's or a sink's functions returned */
#ifndef CLIENT_S3_H
#define CLIENT_S3_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "client/http_fetch.h"
#include "codec/s3_xml.h"

struct config;
struct s3;

/* By the settings, of which none is missing (s3_settings_missing). Connects to nothing yet. Copies what it keeps. 0,
 * -ENOMEM, -EINVAL. */
int s3_open(struct s3 **ret, const struct config *config, struct error *e) __attribute__((warn_unused_result));
/* Nothing is under way any more. NULL is allowed. */
void s3_close(struct s3 *s3);

/* Whether a URL is "s3://bucket/key", or lies beneath the endpoint, so that it is to be asked with our key. Then
 * *ret_bucket and *ret_key, which the caller frees, are what it names. 1, 0, -ENOMEM. */
int s3_url_parse(const struct s3 *s3, const char *url, char **ret_bucket, char **ret_key)
    __attribute__((warn_unused_result));

#define S3_ATTEMPTS 6

/* How long one call may take. */
struct s3_call {
    int64_t deadline_ms;       /* clock_monotonic_ms; repetitions and pauses included */
    int attempts;              /* in a row without any progress; 0: S3_ATTEMPTS */
    const atomic_int *cancel;  /* may be NULL */
    int connect_ms, stalled_s; /* of each request, as fetch_request has them */
    /* For who is waited for: the first byte of an object has to be there by then, repetitions included, and what takes
     * too long is not repeated. 0: none of that. */
    int64_t begin_by_ms;
};

/* What is known of an object. */
struct s3_object {
    int64_t size; /* of all of it, also when a range was asked for */
    char etag[256];
    char content_type[128];
    char last_modified[64];
    char cache_control[256];
    int not_modified; /* s3_get: the object has the ETag that was given; the sink got nothing */
    int end_unseen;   /* s3_get: all came that will come; whether that is all of it was not told (FETCH_END_BY_CLOSE) */
};

/* Of an object that is read. */
struct s3_read {
    const char *if_none_match; /* an ETag with its quotes; NULL: none */
    int64_t from;              /* the first byte that is wanted */
    int64_t len;               /* how many, at most; -1: all that follow */
    int64_t max_bytes;         /* more than that is -EFBIG */
    /* Called once, before the sink's first byte; not 0 ends the reading, which returns it. NULL: not called. */
    int (*begin)(void *arg, const struct s3_object *object);
    struct fetch_sink sink; /* `arg` is begin's, too */
};

int s3_get(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, const struct s3_read *read,
           struct s3_object *ret, struct error *e) __attribute__((warn_unused_result));

int s3_head(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, struct s3_object *ret,
            struct error *e) __attribute__((warn_unused_result));

/* Larger bodies go in parts of this size. */
#define S3_PART_BYTES (16LL << 20)

/* Stores an object, in parts when it is larger than S3_PART_BYTES, and makes sure of it: when this returns 0, the
 * storage has told the object's size and the MD5 of all that it was sent (as the ETag of the object, or of each part),
 * or all of it was read back and compared. What a failed upload in parts left is removed. `sha256` is the body's, which
 * must not change meanwhile: not every storage compares it. */
int s3_put(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key,
           const struct fetch_body *body, const char *content_type, const unsigned char *sha256, struct s3_object *ret,
           struct error *e) __attribute__((warn_unused_result));

/* An object that is not there counts as removed. */
int s3_delete(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, struct error *e)
    __attribute__((warn_unused_result));

/* Tells of every object whose key begins with `prefix`, in the order of keys, a page of 1,000 at a time. */
int s3_list(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *prefix, s3_xml_object_fn *fn,
            void *arg, struct error *e) __attribute__((warn_unused_result));

/* Whether the bucket can be worked with: asks for its first key. */
int s3_check(struct s3 *s3, const struct s3_call *call, const char *bucket, struct error *e)
    __attribute__((warn_unused_result));

#endif
