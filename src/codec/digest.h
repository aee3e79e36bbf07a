/* SHA-256 (FIPS 180-4), by OpenSSL: the identity of an image's content and its strong ETag. Safe from any thread. */
#ifndef CODEC_DIGEST_H
#define CODEC_DIGEST_H

#include <stddef.h>

#define DIGEST_SHA256_LEN 32
#define DIGEST_HEX_SIZE   (2 * DIGEST_SHA256_LEN + 1)

/* Writes the digest of n bytes to out. 0, or -EIO when OpenSSL fails (no provider, no memory; out is undefined). */
int digest_sha256(const void *bytes, size_t n, unsigned char out[DIGEST_SHA256_LEN])
    __attribute__((warn_unused_result));

/* Writes the digest in lower-case hexadecimal and a NUL to dst. */
void digest_hex(char dst[DIGEST_HEX_SIZE], const unsigned char sha[DIGEST_SHA256_LEN]);

/* The way back, only for what digest_hex() writes: exactly 64 digits, lower case. 0, or -EINVAL (out is untouched). */
int digest_from_hex(unsigned char out[DIGEST_SHA256_LEN], const char *hex, size_t n)
    __attribute__((warn_unused_result));

#endif
