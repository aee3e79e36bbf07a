/* Conditional requests (RFC 9110 section 13): whether a request is to be carried out, given what is stored now.
 *
 * Section 13.2.2 sets the order: If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since. Range
 * and If-Range come after all of these: see http/range.h. A read of what is not there is answered 404 before anything
 * here is asked (section 13.2.1).
 *
 * A condition on a write stands between two people and a lost image, so that one which can't be understood stops the
 * write (400). On a read it is one that does not hold: the client gets the whole image. A date that can't be read is
 * no condition at all (sections 13.1.3 and 13.1.4). */
#ifndef HTTP_CONDITIONAL_H
#define HTTP_CONDITIONAL_H

#include <stdint.h>

#include "codec/digest.h"

/* The fields' values; NULL: not sent. Of a field sent several times, the values joined by ", ". */
struct conditional_fields {
    const char *if_match;
    const char *if_none_match;
    const char *if_modified_since;
    const char *if_unmodified_since;
};

/* What is stored now. */
struct conditional_current {
    const char *etag;   /* in its quotes, strong; NULL: nothing is stored */
    int64_t modified_s; /* what Last-Modified tells; seconds since 1970 */
};

enum conditional_method { CONDITIONAL_READ /* GET, HEAD */, CONDITIONAL_WRITE /* PUT, DELETE */ };

enum conditional_answer {
    CONDITIONAL_PROCEED = 0,
    CONDITIONAL_NOT_MODIFIED = 304, /* reads only */
    CONDITIONAL_MALFORMED = 400,    /* writes only: If-Match or If-None-Match is neither '*' nor a list of tags */
    CONDITIONAL_FAILED = 412,
};

enum conditional_answer conditional_check(enum conditional_method method, const struct conditional_fields *fields,
                                          const struct conditional_current *now) __attribute__((warn_unused_result));

#define CONDITIONAL_ETAG_SIZE (DIGEST_HEX_SIZE + 2)

/* Writes the entity tag of content with this digest, strong and in its quotes, to dst and returns it. */
const char *conditional_etag(char dst[CONDITIONAL_ETAG_SIZE], const unsigned char sha256[DIGEST_SHA256_LEN]);

#endif
