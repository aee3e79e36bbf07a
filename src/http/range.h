/* Range and If-Range (RFC 9110 sections 14 and 13.1.5): which bytes of a representation are asked for.
 *
 * One range of bytes is served. Several are answered with the whole (section 14.2 allows to ignore the field): viewers
 * of images do not ask for them, and a multipart answer would let a short request cause a long one. */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include <stdint.h>

enum range_status {
    RANGE_WHOLE = 200,         /* no Range, or one to be ignored: malformed, of another unit, several */
    RANGE_PART = 206,          /* first to last, both inclusive, within the representation */
    RANGE_UNSATISFIABLE = 416, /* nothing of it exists */
};

struct range {
    enum range_status status;
    int64_t first, last; /* of RANGE_PART, else 0 and size - 1 */
};

/* Reads the field's value (NULL: not sent) for a representation of `size` bytes. A range that ends behind the last
 * byte ends there; a suffix longer than the whole is the whole, as a part; any suffix of nothing is the whole, as no
 * Content-Range could tell an empty part. Numbers of any length are understood. */
struct range range_parse(const char *value, int64_t size);

/* Whether Range counts beside this If-Range (NULL: not sent), for a representation with this entity tag (in its
 * quotes, strong) and Last-Modified (seconds since 1970). A tag must be equal and strong, a date be the very same; all
 * else, malformed values too, means the whole. */
int range_if_range(const char *value, const char *etag, int64_t modified_s);

#define RANGE_CONTENT_SIZE 80

/* Writes the value of Content-Range, "bytes 0-99/1234", to dst and returns it; for RANGE_UNSATISFIABLE a '*' stands
 * instead of the two numbers. Not for RANGE_WHOLE. */
const char *range_content(char dst[RANGE_CONTENT_SIZE], const struct range *range, int64_t size);

#endif
