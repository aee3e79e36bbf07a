/* Base64 (RFC 4648 section 4: the standard alphabet, padding, no line breaks), as fast as the CPU allows.
 *
 * Three ways give the same bytes and accept the same input: AVX2, NEON, and libb64 as the portable one. The fastest
 * that the CPU has is chosen once, at the first call. Decoding is strict: any byte outside the alphabet, a length
 * that is not a multiple of four, padding anywhere but at the end and non-zero bits behind the last byte are refused.
 *
 * dst and src must not overlap; where n is 0 they may be NULL. All calls may come from any thread. */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include <stddef.h>

enum base64_way { BASE64_PORTABLE, BASE64_AVX2, BASE64_NEON, BASE64_WAYS };

/* Length of the encoded form of n bytes; nothing is added for a NUL. */
static inline size_t base64_encoded_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Most bytes that n encoded characters can hold. */
static inline size_t base64_decoded_max(size_t n)
{
    return n / 4 * 3;
}

/* Encodes n bytes into dst, which has room for base64_encoded_len(n). Returns that length. Writes no NUL. */
size_t base64_encode(char *dst, const void *src, size_t n);

/* Decodes n characters into dst, which has room for base64_decoded_max(n), and sets *ret_len to the length.
 * 0, or -EBADMSG when the input is not canonical base64 (dst's content is then undefined, *ret_len untouched). */
int base64_decode(void *dst, size_t *ret_len, const char *src, size_t n) __attribute__((warn_unused_result));

/* The way in use, and the name of a way ("avx2"). */
enum base64_way base64_way(void);
const char *base64_way_name(enum base64_way way);

/* For tests and benchmarks: use this way from now on. -ENOTSUP when this CPU or build does not have it. */
int base64_use(enum base64_way way);

#endif
