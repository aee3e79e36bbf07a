#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

#define TEXT(s) s, sizeof(s) - 1

static const struct {
    const char *what;
    const char *bytes;
    size_t n;
    int valid;
} CASES[] = {
    {"empty", TEXT(""), 1},
    {"ASCII", TEXT("photo.jpg"), 1},
    {"NUL is a character", TEXT("a\0b"), 1},
    {"first and last of two bytes", TEXT("\xC2\x80\xDF\xBF"), 1},
    {"first and last of three bytes", TEXT("\xE0\xA0\x80\xEF\xBF\xBF"), 1},
    {"last before and first behind the surrogates", TEXT("\xED\x9F\xBF\xEE\x80\x80"), 1},
    {"first and last of four bytes", TEXT("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"), 1},
    {"a combining accent", TEXT("e\xCC\x81"), 1},
    {"a lone continuation byte", TEXT("\x80"), 0},
    {"overlong slash in two bytes", TEXT("\xC0\xAF"), 0},
    {"overlong in two bytes", TEXT("\xC1\xBF"), 0},
    {"overlong in three bytes", TEXT("\xE0\x9F\xBF"), 0},
    {"overlong in four bytes", TEXT("\xF0\x8F\xBF\xBF"), 0},
    {"first surrogate", TEXT("\xED\xA0\x80"), 0},
    {"last surrogate", TEXT("\xED\xBF\xBF"), 0},
    {"above U+10FFFF", TEXT("\xF4\x90\x80\x80"), 0},
    {"lead byte F5", TEXT("\xF5\x80\x80\x80"), 0},
    {"byte FF", TEXT("\xFF"), 0},
    {"ASCII inside of a sequence",
     TEXT("\xE2\x82"
          "a"),
     0},
    {"a lead byte inside of a sequence", TEXT("\xF0\x9F\xC3\xA9"), 0},
    {"Latin-1", TEXT("caf\xE9.jpg"), 0},
    {"cut off after one of two", TEXT("\xC3"), 0},
    {"cut off after two of three", TEXT("\xE2\x82"), 0},
    {"cut off after three of four", TEXT("\xF0\x9F\x98"), 0},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        /* A copy of exactly n bytes, so that a sanitizer sees a read beyond them. */
        char *copy = malloc(CASES[i].n ? CASES[i].n : 1);
        assert_non_null(copy);
        memcpy(copy, CASES[i].bytes, CASES[i].n);
        if (utf8_valid(copy, CASES[i].n) != CASES[i].valid)
            fail_msg("%s: expected %d", CASES[i].what, CASES[i].valid);
        free(copy);
    }
}

/* Encodes without caring whether the code point may be encoded. */
static size_t encode(char dst[4], uint32_t code)
{
    if (code < 0x80) {
        dst[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        dst[i] = (char)(0x80 | (code & 0x3F));
    dst[0] = (char)((0xF00 >> len) | code);
    return len;
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        char bytes[4];
        int expected = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
        if (utf8_valid(bytes, encode(bytes, code)) != expected)
            fail_msg("U+%04X: expected %d", code, expected);
    }
}

static void test_ascii(void **state)
{
    (void)state;
    assert_true(utf8_is_ascii(""));
    assert_true(utf8_is_ascii("a/B_9.png\x01\x7f"));
    assert_false(utf8_is_ascii("caf\xc3\xa9"));
    assert_false(utf8_is_ascii("\xe5\x86\x99.png"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
