/* read(2) and write(2) until all is done, whatever interrupts them or hands over less than was asked for. */
#ifndef FS_FDIO_H
#define FS_FDIO_H

#include <stddef.h>
#include <stdint.h>

/* Writes n bytes. 0 or -errno; then some may have been written. */
int fdio_write(int fd, const void *bytes, size_t n) __attribute__((warn_unused_result));

/* Reads the n bytes from `offset` on. 0 or -errno; a file that ends before: -EIO. */
int fdio_read(int fd, void *to, size_t n, int64_t offset) __attribute__((warn_unused_result));

/* Writes the first n bytes of a file to another descriptor. As fdio_read and fdio_write. */
int fdio_copy(int to, int from, int64_t n) __attribute__((warn_unused_result));

#endif
