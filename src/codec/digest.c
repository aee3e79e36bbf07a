#include "codec/digest.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* Fetched once and kept until the process ends: EVP_sha256() would look its provider up at every call, which costs more
 * than the digest of a small image. A context per call is cheap beside that, so threads share nothing else. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

int digest_sha256(const void *bytes, size_t n, unsigned char out[DIGEST_SHA256_LEN])
{
    pthread_once(&sha256_once, fetch_sha256);
    if (!sha256 || !EVP_Digest(bytes, n, out, NULL, sha256, NULL))
        return -EIO;
    return 0;
}

int digest_start(struct digest *d, enum digest_kind kind)
{
    pthread_once(&sha256_once, fetch_sha256);
    d->context = EVP_MD_CTX_new();
    if (!d->context)
        return -ENOMEM;
    if (EVP_DigestInit_ex(d->context, kind == DIGEST_MD5 ? EVP_md5() : sha256, NULL))
        return 0;
    digest_end(d, NULL);
    return -EIO;
}

int digest_add(struct digest *d, const void *bytes, size_t n)
{
    return EVP_DigestUpdate(d->context, bytes, n) ? 0 : -EIO;
}

int digest_end(struct digest *d, unsigned char *out)
{
    int r = !out || EVP_DigestFinal_ex(d->context, out, NULL) ? 0 : -EIO;
    EVP_MD_CTX_free(d->context);
    d->context = NULL;
    return r;
}

int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n, unsigned char out[DIGEST_SHA256_LEN])
{
    pthread_once(&sha256_once, fetch_sha256);
    return sha256 && HMAC(sha256, key, (int)key_len, bytes, n, out, NULL) ? 0 : -EIO;
}

int digest_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void digest_hex_bytes(char *dst, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = digits[bytes[i] >> 4];
        dst[2 * i + 1] = digits[bytes[i] & 0x0F];
    }
    dst[2 * n] = '\0';
}

void digest_hex(char dst[DIGEST_HEX_SIZE], const unsigned char sha[DIGEST_SHA256_LEN])
{
    digest_hex_bytes(dst, sha, DIGEST_SHA256_LEN);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int digest_from_hex(unsigned char out[DIGEST_SHA256_LEN], const char *hex, size_t n)
{
    unsigned char sha[DIGEST_SHA256_LEN];

    if (n != DIGEST_HEX_SIZE - 1)
        return -EINVAL;
    for (size_t i = 0; i < sizeof sha; i++) {
        int high = digit_value(hex[2 * i]), low = digit_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        sha[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(out, sha, sizeof sha);
    return 0;
}
