/* Whether bytes from a server are replies as Redis sends them (RESP2), before anything is allocated for them: what a
 * reply announces is checked here, so that no peer can have us reserve memory or recurse as it likes.
 *
 *     redis_scan_init -> [ redis_scan_bytes ]...
 *
 * Pure; one for each connection. */
#ifndef CLIENT_REDIS_SCAN_H
#define CLIENT_REDIS_SCAN_H

#include <stddef.h>
#include <stdint.h>

#define REDIS_SCAN_DEPTH_MAX 7     /* of arrays in arrays; hiredis reads as many */
#define REDIS_SCAN_LIST_MAX  65536 /* elements of an array */
#define REDIS_SCAN_LINE_MAX  65536 /* bytes of a status, an error or a number */

struct redis_scan {
    size_t text_max; /* bytes of a bulk string */
    int64_t replies; /* that are complete */
    int state;
    int kind; /* the first byte of the present element */
    int depth;
    int64_t left[REDIS_SCAN_DEPTH_MAX]; /* elements of each array that are to come */
    size_t line_len;
    int is_negative;
    int64_t number;
    size_t text_left; /* bytes of a bulk string that are to come */
};

void redis_scan_init(struct redis_scan *s, size_t text_max);

/* The next n bytes. 0; -EPROTO: this is not Redis' protocol; -EMSGSIZE: a text is larger than text_max. After that the
 * connection is of no more use. */
int redis_scan_bytes(struct redis_scan *s, const char *bytes, size_t n) __attribute__((warn_unused_result));

/* Whether no reply has begun that is not complete. */
int redis_scan_is_between(const struct redis_scan *s);

#endif
