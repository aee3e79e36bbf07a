#include "codec/password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "codec/base64.h"
#include "codec/digest.h"

/* What password_hash asks for: the least memory of those that OWASP's Password Storage Cheat Sheet holds equal. */
#define LOG2_N     14
#define R          8
#define P          5
#define SALT_BYTES 16
#define KEY_BYTES  32

/* What is accepted. */
#define LOG2_N_MIN    10
#define LOG2_N_MAX    20
#define R_MAX         32
#define P_MAX         16
#define MEMORY_MAX    (UINT64_C(256) << 20)
#define WORK_MAX      (UINT64_C(1) << 30) /* bytes gone over */
#define SALT_MIN      8
#define KEY_MIN       16
#define BYTES_MAX     64
#define BASE64_MAX    (BYTES_MAX / 3 * 4 + 4)
#define BLOCK_BYTES   128 /* of scrypt, times r */
#define MEMORY_MARGIN (UINT64_C(1) << 20)

static const char plain_begin[] = "scrypt$", phc_begin[] = "$scrypt$";

struct bytes {
    unsigned char at[BASE64_MAX];
    size_t len;
};

struct scrypt {
    uint64_t log2_n, r, p;
    struct bytes salt, key;
};

static const char *behind(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* A decimal number of at most seven digits and the character behind it. NULL: it is none. */
static const char *take_number(const char *at, char end, uint64_t *ret)
{
    size_t n = strspn(at, "0123456789");
    *ret = strtoull(at, NULL, 10);
    return n >= 1 && n <= 7 && at[n] == end ? at + n + 1 : NULL;
}

/* Base64 up to `end`; NULL: it is none. */
static const char *take_bytes(const char *at, char end, size_t min, struct bytes *ret)
{
    char padded[BASE64_MAX + 1];
    size_t n = 0;
    while (*at && *at != end && n < BASE64_MAX)
        padded[n++] = *at++;
    while (n % 4 && n < BASE64_MAX)
        padded[n++] = '=';
    if (*at != end || base64_decode(ret->at, &ret->len, padded, n) < 0 || ret->len < min || ret->len > BYTES_MAX)
        return NULL;
    return at + 1;
}

static int log2_of(uint64_t n, uint64_t *ret)
{
    for (*ret = 0; n > 1 && n % 2 == 0; n /= 2)
        ++*ret;
    return n == 1;
}

/* "16384$8$5$" */
static const char *parse_plain_costs(const char *at, struct scrypt *s)
{
    uint64_t n;
    at = take_number(at, '$', &n);
    at = at && log2_of(n, &s->log2_n) ? take_number(at, '$', &s->r) : NULL;
    return at ? take_number(at, '$', &s->p) : NULL;
}

/* "ln=14,r=8,p=5$" */
static const char *parse_phc_costs(const char *at, struct scrypt *s)
{
    at = behind(at, "ln=");
    at = at ? take_number(at, ',', &s->log2_n) : NULL;
    at = at ? behind(at, "r=") : NULL;
    at = at ? take_number(at, ',', &s->r) : NULL;
    at = at ? behind(at, "p=") : NULL;
    return at ? take_number(at, '$', &s->p) : NULL;
}

static uint64_t memory_of(const struct scrypt *s)
{
    return BLOCK_BYTES * s->r << s->log2_n;
}

static int is_affordable(const struct scrypt *s)
{
    return s->log2_n >= LOG2_N_MIN && s->log2_n <= LOG2_N_MAX && s->r >= 1 && s->r <= R_MAX && s->p >= 1 &&
           s->p <= P_MAX && memory_of(s) <= MEMORY_MAX && memory_of(s) * s->p <= WORK_MAX;
}

/* 1: it is a hash. 0: it is a plain password. -EINVAL. */
static int parse(const char *setting, struct scrypt *s)
{
    const char *at = behind(setting, plain_begin);
    if (at)
        at = parse_plain_costs(at, s);
    else if ((at = behind(setting, phc_begin)))
        at = parse_phc_costs(at, s);
    else
        return 0;
    if (!at || !is_affordable(s) || !(at = take_bytes(at, '$', SALT_MIN, &s->salt)) ||
        !take_bytes(at, '\0', KEY_MIN, &s->key))
        return -EINVAL;
    return 1;
}

int password_check_setting(const char *setting)
{
    struct scrypt s;
    int r = parse(setting, &s);
    return r < 0 ? r : 0;
}

static int derive(const struct scrypt *s, const char *plain, unsigned char *key, size_t n)
{
    int ok = EVP_PBE_scrypt(plain, strlen(plain), s->salt.at, s->salt.len, UINT64_C(1) << s->log2_n, s->r, s->p,
                            memory_of(s) + BLOCK_BYTES * s->r * (s->p + 1) + MEMORY_MARGIN, key, n);
    return ok == 1 ? 0 : -EIO;
}

static int matches_plain(const char *setting, const char *given)
{
    unsigned char ours[DIGEST_SHA256_LEN], theirs[DIGEST_SHA256_LEN];
    if (digest_sha256(setting, strlen(setting), ours) < 0 || digest_sha256(given, strlen(given), theirs) < 0)
        return -EIO;
    return CRYPTO_memcmp(ours, theirs, sizeof ours) == 0;
}

int password_matches(const char *setting, const char *given)
{
    struct scrypt s;
    unsigned char key[BYTES_MAX];
    int r = parse(setting, &s);
    if (r <= 0)
        return r < 0 ? r : matches_plain(setting, given);
    r = derive(&s, given, key, s.key.len);
    if (r == 0)
        r = CRYPTO_memcmp(key, s.key.at, s.key.len) == 0;
    OPENSSL_cleanse(key, sizeof key);
    return r;
}

/* Without padding, as PHC has it. */
static const char *to_base64(char ret[BASE64_MAX + 1], const unsigned char *bytes, size_t n)
{
    size_t len = base64_encode(ret, bytes, n);
    while (len && ret[len - 1] == '=')
        len--;
    ret[len] = '\0';
    return ret;
}

int password_hash(char ret[PASSWORD_HASH_SIZE], const char *plain)
{
    struct scrypt s = {.log2_n = LOG2_N, .r = R, .p = P, .salt.len = SALT_BYTES, .key.len = KEY_BYTES};
    char salt[BASE64_MAX + 1], key[BASE64_MAX + 1];
    if (getrandom(s.salt.at, SALT_BYTES, 0) != SALT_BYTES || derive(&s, plain, s.key.at, KEY_BYTES) < 0)
        return -EIO;
    (void)snprintf(ret, PASSWORD_HASH_SIZE, "%s%u$%d$%d$%s$%s", plain_begin, 1U << LOG2_N, R, P,
                   to_base64(salt, s.salt.at, SALT_BYTES), to_base64(key, s.key.at, KEY_BYTES));
    return 0;
}
