/* A growing byte buffer with a hard maximum, given where it is made (curl's dynbuf.h has the same rule).
 *
 * `data` always ends in a NUL that `len` does not count, once anything was added. A buffer that could not grow keeps
 * what it held. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf {
    char *data;  /* NULL until the first byte */
    size_t len;  /* bytes in use */
    size_t room; /* bytes allocated */
    size_t max;  /* len never exceeds this */
};

/* An empty buffer; allocates nothing. */
void buf_init(struct buf *b, size_t max_bytes);

/* Frees the memory; the buffer is empty and usable again. */
void buf_release(struct buf *b);

/* Forgets the bytes and keeps the memory. */
void buf_reset(struct buf *b);

/* Makes room for `n` more bytes and sets *ret to where they go; the caller writes them and adds to b->len.
 * -EMSGSIZE beyond the maximum, -ENOMEM. */
int buf_reserve(struct buf *b, size_t n, char **ret) __attribute__((warn_unused_result));

/* Append. 0, -EMSGSIZE beyond the maximum, -ENOMEM. */
int buf_add(struct buf *b, const void *bytes, size_t n) __attribute__((warn_unused_result));
int buf_addstr(struct buf *b, const char *str) __attribute__((warn_unused_result));
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((warn_unused_result, format(printf, 2, 3)));

#endif
