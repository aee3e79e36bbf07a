#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/sniff_end.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(s)      s, sizeof(s) - 1

#define PNG_HEAD "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x12\x34\x56\x78"
#define PNG_END  "\0\0\0\0IEND\xAE\x42\x60\x82"
/* A thumbnail in APP1, whose end is not the image's. */
#define JPEG_HEAD "\xFF\xD8\xFF\xE1\0\x0A\xFF\xD8thmb\xFF\xD9"
#define GIF_HEAD  "GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF"

/* Each is whole as it stands, and at no other length below that. */
static const struct {
    const char *what, *bytes;
    size_t n;
    enum sniff_kind kind;
} WHOLE[] = {
    {"PNG", TEXT(PNG_HEAD "\0\0\0\x08IDATIEND\0\0\0\0\x12\x34\x56\x78" PNG_END), SNIFF_PNG},
    {"JPEG",
     TEXT(JPEG_HEAD "\xFF\xDA\0\x04\x01\x01"
                    "ab\xFF\0cd\xFF\xD0"
                    "ef\xFF\xFF\xD9"),
     SNIFF_JPEG},
    {"JPEG of two scans", TEXT("\xFF\xD8\xFF\xDA\0\x02xy\xFF\xDA\0\x02z\xFF\xD9"), SNIFF_JPEG},
    {"GIF",
     TEXT(GIF_HEAD "\x21\xF9\x04\0\0\0;\0"
                   "\x2C\0\0\0\0\x01\0\x01\0\0\x02\x03;;;\x01;\0;"),
     SNIFF_GIF},
    {"GIF with its own colours", TEXT("GIF87a\x01\0\x01\0\0\0\0\x2C\0\0\0\0\x01\0\x01\0\x80......\x02\x01x\0;"),
     SNIFF_GIF},
    {"WebP", TEXT("RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0abcd"), SNIFF_WEBP},
    {"BMP", TEXT("BM\x1A\0\0\0\0\0\0\0\x1A\0\0\0\x0C\0\0\0\x01\0\x01\0\x01\0\x18\0"), SNIFF_BMP},
};

/* Not whole at any length. */
static const struct {
    const char *what, *bytes;
    size_t n;
    enum sniff_kind kind;
} NEVER[] = {
    {"a length beyond the end", TEXT(PNG_HEAD "\xFF\xFF\xFF\xFFIDAT" PNG_END), SNIFF_PNG},
    {"a segment without a length", TEXT("\xFF\xD8\xFF\xE0\0\0\xFF\xD9"), SNIFF_JPEG},
    {"a segment beyond the end", TEXT("\xFF\xD8\xFF\xE0\xFF\xFF\xFF\xD9"), SNIFF_JPEG},
    {"blocks of no kind", TEXT(GIF_HEAD "abc;"), SNIFF_GIF},
    {"a RIFF of nothing", TEXT("RIFF\0\0\0\0WEBPVP8 "), SNIFF_WEBP},
    {"a BMP without its size", TEXT("BM\0\0\0\0\0\0\0\0\x1A\0\0\0"), SNIFF_BMP},
    {"SVG", TEXT("<svg></svg>"), SNIFF_SVG},
    {"TIFF", TEXT("II*\0\x08\0\0\0\0\0\0\0\0\0"), SNIFF_TIFF},
    {"no image", TEXT("hello"), SNIFF_NONE},
};

struct bytes {
    const char *p;
    size_t n;
    size_t most; /* at a time */
};

static long read_bytes(void *arg, void *dst, size_t n, int64_t offset)
{
    const struct bytes *b = arg;
    size_t left = b->n - (size_t)offset;
    n = n < left ? n : left;
    n = n < b->most ? n : b->most;
    memcpy(dst, b->p + offset, n);
    return (long)n;
}

static bool is_whole(enum sniff_kind kind, const char *p, size_t n, size_t most)
{
    struct bytes b = {p, n, most};
    return sniff_is_whole(kind, read_bytes, &b, (int64_t)n);
}

static void test_whole_at_its_end_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(WHOLE); i++) {
        for (size_t n = 0; n <= WHOLE[i].n; n++)
            if (is_whole(WHOLE[i].kind, WHOLE[i].bytes, n, 8192) != (n == WHOLE[i].n))
                fail_msg("%s: %zu of %zu bytes", WHOLE[i].what, n, WHOLE[i].n);
        assert_true(is_whole(WHOLE[i].kind, WHOLE[i].bytes, WHOLE[i].n, 1));
    }
}

static void test_never_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(NEVER); i++)
        for (size_t n = 0; n <= NEVER[i].n; n++)
            if (is_whole(NEVER[i].kind, NEVER[i].bytes, n, 8192))
                fail_msg("%s: %zu of %zu bytes", NEVER[i].what, n, NEVER[i].n);
}

static long refuse(void *arg, void *dst, size_t n, int64_t offset)
{
    (void)arg, (void)dst, (void)n, (void)offset;
    return -5;
}

static void test_what_cannot_be_read_is_not_whole(void **state)
{
    (void)state;
    for (enum sniff_kind kind = SNIFF_NONE; kind < SNIFF_KINDS; kind++)
        assert_false(sniff_is_whole(kind, refuse, NULL, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_at_its_end_only),
        cmocka_unit_test(test_never_whole),
        cmocka_unit_test(test_what_cannot_be_read_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
