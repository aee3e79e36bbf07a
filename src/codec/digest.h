/* SHA-256 (FIPS 180-4), by OpenSSL: the identity of an image's content and its strong ETag. Safe from any thread.
 * Also MD5 (RFC 1321), which object storage names contents by (ETag, Content-MD5), and nothing else here. */
#ifndef CODEC_DIGEST_H
#define CODEC_DIGEST_H

#include <stddef.h>

#define DIGEST_SHA256_LEN 32
#define DIGEST_HEX_SIZE   (2 * DIGEST_SHA256_LEN + 1)

/* Writes the digest of n bytes to out. 0, or -EIO when OpenSSL fails (no provider, no memory; out is undefined). */
int digest_sha256(const void *bytes, size_t n, unsigned char out[DIGEST_SHA256_LEN])
    __attribute__((warn_unused_result));

/* Of what comes piece by piece:
 *     digest_start -> [ digest_add ]... -> digest_end, once, whatever failed in between
 * 0, -ENOMEM, -EIO. */
#define DIGEST_MD5_LEN 16

enum digest_kind { DIGEST_SHA256, DIGEST_MD5 };

struct digest {
    void *context;
};

int digest_start(struct digest *d, enum digest_kind kind) __attribute__((warn_unused_result));
int digest_add(struct digest *d, const void *bytes, size_t n) __attribute__((warn_unused_result));
/* `out` has room for the kind's length; NULL: the digest is dropped. */
int digest_end(struct digest *d, unsigned char *out);

/* HMAC-SHA-256 (RFC 2104) of n bytes under a key. 0, or -EIO. */
int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n, unsigned char out[DIGEST_SHA256_LEN])
    __attribute__((warn_unused_result));

/* Whether two secrets of n bytes are equal, in a time that tells nothing of where they differ. */
int digest_equal(const void *a, const void *b, size_t n);

/* Writes the digest in lower-case hexadecimal and a NUL to dst. */
void digest_hex(char dst[DIGEST_HEX_SIZE], const unsigned char sha[DIGEST_SHA256_LEN]);

/* Likewise n bytes of any kind; dst has room for 2 * n + 1. */
void digest_hex_bytes(char *dst, const unsigned char *bytes, size_t n);

/* The way back of digest_hex, only for what that writes: exactly 64 digits, lower case. 0, or -EINVAL (out is
 * untouched). */
int digest_from_hex(unsigned char out[DIGEST_SHA256_LEN], const char *hex, size_t n)
    __attribute__((warn_unused_result));

#endif
