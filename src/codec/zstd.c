#include "codec/zstd.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#define LEVEL 3 /* zstd's own default: more costs many times the time for a few percent */

static int code_of(size_t result)
{
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_no_error:
        return 0;
    case ZSTD_error_dstSize_tooSmall:
        return -EMSGSIZE;
    case ZSTD_error_memory_allocation:
        return -ENOMEM;
    default:
        return -EBADMSG;
    }
}

int zstd_compress(void *dst, size_t size, size_t *ret_len, const void *bytes, size_t n)
{
    size_t len = ZSTD_compress(dst, size, bytes, n, LEVEL);
    int r = code_of(len);
    if (r == 0)
        *ret_len = len;
    return r;
}

int zstd_decompress(void *dst, size_t size, size_t *ret_len, const void *bytes, size_t n)
{
    size_t len = ZSTD_decompress(dst, size, bytes, n);
    int r = code_of(len);
    if (r == 0)
        *ret_len = len;
    return r;
}
