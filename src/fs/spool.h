/* Bytes that come piece by piece and are read again later: the first ones are kept in memory, and when there are more,
 * all of them in a file without a name, which goes with the process however that ends.
 *
 * One spool belongs to one thread at a time. */
#ifndef FS_SPOOL_H
#define FS_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct spool {
    struct buf memory;
    int fd; /* of the file; -1: there is none */
    int64_t size;
};

/* A new file without a name, in $TMPDIR or else in /var/tmp or /tmp. Returns its descriptor; or what making it gave,
 * with a text that says where. */
int spool_file(struct error *e) __attribute__((warn_unused_result));

/* Empty; allocates nothing. Up to memory_max bytes stay in memory. */
void spool_init(struct spool *s, size_t memory_max);
void spool_release(struct spool *s);

/* Appends. -ENOMEM, or what making (spool_file) and writing the file gave. */
int spool_add(struct spool *s, const void *bytes, size_t n, struct error *e) __attribute__((warn_unused_result));

/* Reads up to n bytes from `offset` on; sets *ret_n, which is less than n at the end only. -EIO and its like. */
int spool_read(const struct spool *s, int64_t offset, void *to, size_t n, size_t *ret_n)
    __attribute__((warn_unused_result));

#endif
