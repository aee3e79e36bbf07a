/* The parts of a multipart/form-data body (RFC 7578; RFC 2046 section 5.1), read as they come in: nothing but a part's
 * header is ever held. */
#ifndef CODEC_MULTIPART_H
#define CODEC_MULTIPART_H

#include <stddef.h>

#include "base/error.h"

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 section 5.1.1 */
#define MULTIPART_HEAD_MAX     4096
#define MULTIPART_NAME_MAX     255
#define MULTIPART_PARTS_MAX    64

struct multipart_part {
    char name[MULTIPART_NAME_MAX + 1];     /* of the form's field */
    char filename[MULTIPART_NAME_MAX + 1]; /* what the client calls the file, a path perhaps; "": it is none */
    char type[MULTIPART_NAME_MAX + 1];     /* Content-Type as it was sent; "" */
};

/* Told in this order for each part. Whatever but 0 ends the reading and is what multipart_feed returns. */
struct multipart_ops {
    int (*begin)(void *arg, const struct multipart_part *part);
    int (*data)(void *arg, const char *bytes, size_t n); /* any number of times */
    int (*end)(void *arg);
};

struct multipart {
    const struct multipart_ops *ops;
    void *arg;
    enum { MULTIPART_PREAMBLE, MULTIPART_LINE, MULTIPART_HEAD, MULTIPART_DATA, MULTIPART_EPILOGUE } state;
    int parts;
    size_t delimiter_len, matched; /* bytes of the delimiter that were seen last */
    char delimiter[MULTIPART_BOUNDARY_MAX + 5];
    size_t head_len;
    char head[MULTIPART_HEAD_MAX + 1]; /* the rest of a delimiter's line, too */
    struct multipart_part part;
};

/* The boundary that a Content-Type names. -EINVAL: it is not multipart/form-data, or has no proper one. */
int multipart_boundary(char ret[MULTIPART_BOUNDARY_MAX + 1], const char *content_type, struct error *e)
    __attribute__((warn_unused_result));

/* Begins a body with this boundary. Nothing is allocated; ops must stay. */
void multipart_init(struct multipart *m, const char *boundary, const struct multipart_ops *ops, void *arg);

/* Reads on. -EBADMSG: malformed, with a sentence that follows "the form"; -E2BIG: beyond a limit above; -ENOTSUP: a
 * part in base64 or quoted-printable (RFC 7578 section 4.7 knows none); or what a callback returned. */
int multipart_feed(struct multipart *m, const char *bytes, size_t n, struct error *e)
    __attribute__((warn_unused_result));

/* The body has ended. -EBADMSG when its last delimiter did not come: a part was cut off. */
int multipart_end(const struct multipart *m, struct error *e) __attribute__((warn_unused_result));

#endif
