#include "codec/base64.h"

#include <b64/cdecode.h>
#include <b64/cencode.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec/base64_ways.h"

/* libb64 breaks the line after its 18th group of 3 bytes; with fewer in each call it never gets there. */
#define ENCODE_STEP_BYTES (17 * 3)

/* libb64 counts in int. Small steps, too, so that what the check has read is still in the cache for libb64. */
#define DECODE_STEP_CHARS 4096

static const bool in_alphabet[256] = {
    ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['+'] = true, ['/'] = true,
};

/* No loops: the portable way does everything. */
struct way {
    const char *name;
    base64_encode_loop *encode;
    base64_decode_loop *decode;
};

static const struct way ways[BASE64_WAYS] = {
    [BASE64_PORTABLE] = {.name = "portable"},
#if defined(__x86_64__)
    [BASE64_AVX2] = {"avx2", base64_avx2_encode, base64_avx2_decode},
#else
    [BASE64_AVX2] = {.name = "avx2"},
#endif
#if defined(__aarch64__)
    [BASE64_NEON] = {"neon", base64_neon_encode, base64_neon_decode},
#else
    [BASE64_NEON] = {.name = "neon"},
#endif
};

/* BASE64_WAYS until the first call. */
static _Atomic int way_in_use = BASE64_WAYS;

static bool available(enum base64_way way)
{
    switch (way) {
    case BASE64_PORTABLE:
        return true;
#if defined(__x86_64__)
    case BASE64_AVX2:
        return __builtin_cpu_supports("avx2");
#endif
#if defined(__aarch64__)
    case BASE64_NEON: /* every such CPU has it */
        return true;
#endif
    default:
        return false;
    }
}

enum base64_way base64_way(void)
{
    int way = atomic_load_explicit(&way_in_use, memory_order_relaxed);
    int unset = BASE64_WAYS;

    if (way != BASE64_WAYS)
        return way;
    way = available(BASE64_AVX2) ? BASE64_AVX2 : available(BASE64_NEON) ? BASE64_NEON : BASE64_PORTABLE;
    /* Threads that race here find the same way, but must not undo a base64_use(). */
    return atomic_compare_exchange_strong(&way_in_use, &unset, way) ? way : unset;
}

const char *base64_way_name(enum base64_way way)
{
    return ways[way].name;
}

int base64_use(enum base64_way way)
{
    if (!available(way))
        return -ENOTSUP;
    atomic_store(&way_in_use, way);
    return 0;
}

static void encode_portable(char *dst, const char *src, size_t n)
{
    base64_encodestate state;

    while (n >= 3) {
        size_t step = n < ENCODE_STEP_BYTES ? n - n % 3 : ENCODE_STEP_BYTES;

        base64_init_encodestate(&state);
        dst += base64_encode_block(src, (int)step, dst, &state);
        src += step;
        n -= step;
    }
    if (n > 0) {
        char end[8]; /* libb64 puts a line feed behind the padding */
        int len;

        base64_init_encodestate(&state);
        len = base64_encode_block(src, (int)n, end, &state);
        base64_encode_blockend(end + len, &state);
        memcpy(dst, end, 4);
    }
}

/* The last four characters: the only place for padding. libb64 reads, and for padding writes, one byte behind its
 * result, hence the buffer. */
static int decode_end(uint8_t *dst, size_t *ret_len, const char *src)
{
    size_t chars = src[3] != '=' ? 4 : src[2] != '=' ? 3 : 2;
    /* What the last character carries beyond the last whole byte. */
    int spare_bits = chars == 4 ? 0 : chars == 3 ? 0x03 : 0x0f;
    base64_decodestate state;
    char end[4] = {0};

    for (size_t i = 0; i < chars; i++)
        if (!in_alphabet[(uint8_t)src[i]])
            return -EBADMSG;
    if (base64_decode_value(src[chars - 1]) & spare_bits)
        return -EBADMSG;
    base64_init_decodestate(&state);
    base64_decode_block(src, (int)chars, end, &state);
    memcpy(dst, end, chars - 1);
    *ret_len = chars - 1;
    return 0;
}

/* libb64 skips what it does not know, so all is checked before it sees it. n is a multiple of 4. */
static int decode_portable(uint8_t *dst, size_t *ret_len, const char *src, size_t n)
{
    const uint8_t *start = dst;
    base64_decodestate state;
    size_t end_len = 0;

    while (n > 4) {
        size_t step = n - 4 < DECODE_STEP_CHARS ? n - 4 : DECODE_STEP_CHARS;

        for (size_t i = 0; i < step; i++)
            if (!in_alphabet[(uint8_t)src[i]])
                return -EBADMSG;
        base64_init_decodestate(&state);
        dst += base64_decode_block(src, (int)step, (char *)dst, &state);
        src += step;
        n -= step;
    }
    if (n > 0 && decode_end(dst, &end_len, src) < 0)
        return -EBADMSG;
    *ret_len = (size_t)(dst - start) + end_len;
    return 0;
}

size_t base64_encode(char *dst, const void *src, size_t n)
{
    const struct way *way = &ways[base64_way()];
    size_t done;

    if (n == 0)
        return 0;
    done = way->encode ? way->encode(dst, src, n) : 0;
    encode_portable(dst + done / 3 * 4, (const char *)src + done, n - done);
    return base64_encoded_len(n);
}

int base64_decode(void *dst, size_t *ret_len, const char *src, size_t n)
{
    const struct way *way = &ways[base64_way()];
    size_t done, done_bytes, rest_bytes;

    if (n % 4 != 0)
        return -EBADMSG;
    if (n == 0) {
        *ret_len = 0;
        return 0;
    }
    done = way->decode ? way->decode(dst, src, n) : 0;
    done_bytes = base64_decoded_max(done);
    if (decode_portable((uint8_t *)dst + done_bytes, &rest_bytes, src + done, n - done) < 0)
        return -EBADMSG;
    *ret_len = done_bytes + rest_bytes;
    return 0;
}
