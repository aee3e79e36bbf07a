/* Request targets (RFC 3986) taken apart and put together: paths, and queries in the form that browsers send
 * (application/x-www-form-urlencoded).
 *
 * Everything is decoded exactly once. What comes out may go where only C strings of UTF-8 are accepted, or, for paths,
 * still has to pass safepath_check: "%2e%2e" is decoded here and refused there. */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* Decodes the n bytes of a raw path into dst, which has room for n + 1 bytes, adds a NUL and sets *ret_len (NULL is
 * allowed). '+' stands for itself (RFC 3986 section 3.3). -EINVAL, and a text that follows the path, for
 *   a '%' without two hexadecimal digits (section 2.1),
 *   %00, which would end the name early, and %2F, as no name holds a slash (section 2.2: it is not the same as '/'),
 *   a raw control character, blank, '\', '?' or '#', which no path has (section 3.3). Browsers send '\' as '/', so that
 *   a raw one comes from someone who tries; "%5C" is a byte of a name like any other here.
 * Raw bytes above 0x7f are let through: many clients send UTF-8 as it is. dst is undefined on failure. */
int url_decode_path(char *dst, size_t *ret_len, const char *raw, size_t n, struct error *e)
    __attribute__((warn_unused_result));

/* Appends a path for use in a URL: all but unreserved characters (section 2.3) and '/' become %XX, so that the result
 * may also stand in HTML and in headers, and url_decode_path gives the path back. 0, -EMSGSIZE, -ENOMEM. */
int url_encode_path(struct buf *out, const char *path, size_t n) __attribute__((warn_unused_result));

/* Likewise for a name or a value of a query: '/' is encoded, too. */
int url_encode_value(struct buf *out, const char *value, size_t n) __attribute__((warn_unused_result));

#define URL_QUERY_PARAMS_MAX 32
#define URL_QUERY_MAX_BYTES  8192

struct url_query {
    int count;
    struct url_param {
        const char *name;
        const char *value; /* "" for a name without '=' */
    } params[URL_QUERY_PARAMS_MAX];
    char *text; /* owns what the params point to */
};

/* Reads the n bytes behind the '?' (raw may be NULL when n is 0): pairs separated by '&', '+' and %20 are blanks, empty
 * pairs do not count. A malformed escape, %00, a name given twice (which of them counts is a guess) and bytes that are
 * no UTF-8 are refused with -EINVAL, more than URL_QUERY_MAX_BYTES or URL_QUERY_PARAMS_MAX with -E2BIG; the text is a
 * sentence of its own. -ENOMEM. On success to be released. */
int url_query_parse(struct url_query *ret, const char *raw, size_t n, struct error *e)
    __attribute__((warn_unused_result));
void url_query_release(struct url_query *q);

/* The value of that name, or NULL. */
const char *url_query_get(const struct url_query *q, const char *name);

/* Whether a raw query has a parameter spelt like this, with a value that is not empty. Decodes and allocates nothing:
 * for the way of each image request, which asks for "v" only. */
int url_query_has(const char *raw, size_t n, const char *name);

#endif
