/* What libmicrohttpd lets through and we do not: a request that another server might read differently than we do
 * (RFC 9112, sections 2.2, 3.2, 5, 6.1, 6.3 and 11.2, request smuggling). */
#ifndef HTTP_REQUEST_CHECK_H
#define HTTP_REQUEST_CHECK_H

#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;

/* The request line: all libmicrohttpd's own, but for the copy. */
struct request_line {
    const char *method;
    const char *uri;      /* what its URI log callback was given, and has been decoded in place since */
    const char *sent_uri; /* a copy of that time; NULL: there was none */
    const char *version;
};

/* What the headers say. */
struct request_facts {
    int64_t body; /* bytes that are announced; -1: a body without a length */
    int plain;    /* the same URL gets the same answer: nothing asks for a part or sets a condition */
    /* Of a target in absolute-form (RFC 9112, section 3.2.2): so many bytes of it stand before its path, the last ones
     * of them its host, which counts in place of Host's. Else both are 0. */
    size_t before_path, host_len;
};

/* To be called at the first call for a request, when nothing of the body has been read. 0; or -EBADMSG, or
 * -EPROTONOSUPPORT for a version that is not ours, or -ENOTSUP for an expectation (RFC 9110, section 10.1.1) that can't
 * be met, and why: the connection is to be closed. */
int request_check(struct MHD_Connection *connection, const struct request_line *line, struct request_facts *ret,
                  const char **ret_why) __attribute__((warn_unused_result));

#endif
