/* Zstandard (RFC 8878), one frame at a time. */
#ifndef CODEC_ZSTD_H
#define CODEC_ZSTD_H

#include <stddef.h>

/* Compresses n bytes into dst and sets *ret_len. -EMSGSIZE when that needs more than `size` bytes; -ENOMEM. */
int zstd_compress(void *dst, size_t size, size_t *ret_len, const void *bytes, size_t n)
    __attribute__((warn_unused_result));

/* The way back. -EBADMSG: damaged; -EMSGSIZE: more than `size` bytes come out. */
int zstd_decompress(void *dst, size_t size, size_t *ret_len, const void *bytes, size_t n)
    __attribute__((warn_unused_result));

#endif
