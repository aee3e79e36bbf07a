#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/digest.h"

/* FIPS 180-4's examples as NIST publishes them, and the digest of nothing. */
static const struct {
    const char *text;
    size_t repeat;
    const char *hex;
} VECTORS[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void check_vector(size_t i)
{
    size_t len = strlen(VECTORS[i].text), n = len * VECTORS[i].repeat;
    char *bytes = malloc(n ? n : 1);
    assert_non_null(bytes);
    for (size_t at = 0; at < n; at += len)
        memcpy(bytes + at, VECTORS[i].text, len);

    unsigned char sha[DIGEST_SHA256_LEN], back[DIGEST_SHA256_LEN];
    char hex[DIGEST_HEX_SIZE];
    assert_int_equal(digest_sha256(bytes, n, sha), 0);
    digest_hex(hex, sha);
    assert_string_equal(hex, VECTORS[i].hex);
    assert_int_equal(digest_from_hex(back, hex, strlen(hex)), 0);
    assert_memory_equal(back, sha, sizeof sha);
    free(bytes);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof VECTORS / sizeof VECTORS[0]; i++)
        check_vector(i);
}

static void test_from_hex_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *hex;
    } cases[] = {
        {"empty", ""},
        {"one digit short", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a"},
        {"one digit more", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015add"},
        {"upper case", "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"a letter behind f", "ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"a space", " a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"a sign", "+a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"0x", "0x7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"a colon at the end", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a:"},
        {"a byte above ASCII", "\xE1"
                               "a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char out[DIGEST_SHA256_LEN], before[DIGEST_SHA256_LEN];
        memset(out, 0x5A, sizeof out);
        memcpy(before, out, sizeof out);
        if (digest_from_hex(out, cases[i].hex, strlen(cases[i].hex)) != -EINVAL)
            fail_msg("accepted: %s", cases[i].what);
        assert_memory_equal(out, before, sizeof out);
    }
}

/* Each thread digests "abc" again and again; the result is NULL if all were right. */
static void *digest_often(void *arg)
{
    unsigned char sha[DIGEST_SHA256_LEN];
    char hex[DIGEST_HEX_SIZE];
    for (int i = 0; i < 1000; i++) {
        if (digest_sha256("abc", 3, sha) != 0)
            return arg;
        digest_hex(hex, sha);
        if (strcmp(hex, VECTORS[1].hex) != 0)
            return arg;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_often, threads), 0);
    for (size_t i = 0; i < 8; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    /* The threads come first: they race for the one fetch of the algorithm. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_from_hex_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
