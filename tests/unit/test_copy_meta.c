#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tier/copy_meta.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])
#define SHA        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define US         INT64_C(1000000)

static void names_files(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"a", "0cc175b9c0f1b6a831c399e269772661"}, /* RFC 1321, A.5 */
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
    };
    char name[COPY_NAME_SIZE];
    for (size_t i = 0; i < LEN(cases); i++) {
        assert_int_equal(copy_name(name, cases[i].path), 0);
        assert_string_equal(name, cases[i].name);
    }
    static const struct {
        const char *path, *ending;
    } endings[] = {
        {"a.png", ".png"}, {"a.JPG", ".JPG"}, {"a.b/c.tar.gz", ".gz"}, {"a.b/c", ""},       {".png", ".png"},
        {"a.", ""},        {"a.j pg", ""},    {"a.j\xc3\xa9", ""},     {"a.123456789", ""}, {"a.12345678", ".12345678"},
        {"a.p%g", ""},
    };
    for (size_t i = 0; i < LEN(endings); i++) {
        assert_int_equal(copy_name(name, endings[i].path), 0);
        assert_string_equal(name + 32, endings[i].ending);
        assert_true(copy_name_is(name));
    }
}

static void knows_names(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        ".gitkeep",
        "a.png",
        "900150983cd24fb0d6963f7d28e17f7",
        "900150983cd24fb0d6963f7d28e17f722",
        "900150983CD24FB0D6963F7D28E17F72",
        "900150983cd24fb0d6963f7d28e17f72.",
        "900150983cd24fb0d6963f7d28e17f72.p-g",
        "900150983cd24fb0d6963f7d28e17f72.a.b",
        "900150983cd24fb0d6963f7d28e17f72/a",
        ".perdura",
    };
    for (size_t i = 0; i < LEN(others); i++)
        assert_false(copy_name_is(others[i]));
    assert_true(copy_name_is("900150983cd24fb0d6963f7d28e17f72"));
    assert_true(copy_name_is("900150983cd24fb0d6963f7d28e17f72.jpg"));
}

static struct copy_content content(unsigned char first, const char *etag)
{
    struct copy_content c = {.sha256 = {first}, .size = 5, .modified_s = -7};
    snprintf(c.etag, sizeof c.etag, "%s", etag);
    return c;
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    struct copy_meta note = {.path = "a b/\xc3\xa9\n%.png"}, back;
    struct copy_content old = content(1, "W/\"a b\""), new = content(2, "");
    struct buf text;
    copy_meta_add(&note, &old);
    copy_meta_add(&note, &new);
    buf_init(&text, COPY_META_MAX_BYTES);
    assert_int_equal(copy_meta_format(&text, &note), 0);
    assert_int_equal(copy_meta_parse(&back, text.data, text.len), 0);
    assert_string_equal(back.path, note.path);
    assert_int_equal(back.count, 2);
    assert_memory_equal(back.contents[0].sha256, new.sha256, sizeof new.sha256);
    assert_string_equal(back.contents[0].etag, "");
    assert_string_equal(copy_meta_find(&back, old.sha256)->etag, "W/\"a b\"");
    assert_int_equal(back.contents[1].size, 5);
    assert_int_equal(back.contents[1].modified_s, -7);
    for (size_t n = 0; n < text.len; n++) /* cut anywhere: never taken for the whole but at the end of a content */
        if (copy_meta_parse(&back, text.data, n) == 0)
            assert_int_equal(back.count, 1);
    buf_release(&text);
}

static void keeps_the_newest(void **state)
{
    (void)state;
    struct copy_meta note = {0};
    for (unsigned char i = 1; i <= 5; i++) {
        struct copy_content c = content(i, "");
        copy_meta_add(&note, &c);
    }
    assert_int_equal(note.count, COPY_META_CONTENTS);
    assert_int_equal(note.contents[0].sha256[0], 5);
    assert_int_equal(note.contents[2].sha256[0], 3);
    struct copy_content again = content(4, "\"new\"");
    copy_meta_add(&note, &again);
    assert_int_equal(note.count, COPY_META_CONTENTS);
    assert_string_equal(note.contents[0].etag, "\"new\"");
    assert_int_equal(note.contents[1].sha256[0], 5);
    assert_int_equal(note.contents[2].sha256[0], 3);
    assert_null(copy_meta_find(&note, content(1, "").sha256));
}

static void refuses_other_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n",
        "perdura-copy 1\n",
        "perdura-copy 2\npath a\ncontent " SHA " 5 6 \n",
        "perdura-copy 1\npath a\n",
        "perdura-copy 1\ncontent " SHA " 5 6 \n",
        "perdura-copy 1\npath a\ncontent " SHA " 5 6 ", /* no end */
        "perdura-copy 1\npath a\ncontent " SHA " 5 6\n",
        "perdura-copy 1\npath a\ncontent " SHA " -5 6 \n",
        "perdura-copy 1\npath a\ncontent " SHA " 99999999999999999999 6 \n",
        "perdura-copy 1\npath a\ncontent " SHA "0 5 6 \n",
        "perdura-copy 1\npath a\ncontent 0123 5 6 \n",
        "perdura-copy 1\npath ../a\ncontent " SHA " 5 6 \n",
        "perdura-copy 1\npath a%00\ncontent " SHA " 5 6 \n",
        "perdura-copy 1\npath a\nmore\ncontent " SHA " 5 6 \n",
    };
    struct copy_meta note;
    for (size_t i = 0; i < LEN(texts); i++)
        assert_int_equal(copy_meta_parse(&note, texts[i], strlen(texts[i])), -EBADMSG);
    static const char right[] = "perdura-copy 1\npath a\ncontent " SHA " 5 6 \n";
    assert_int_equal(copy_meta_parse(&note, right, strlen(right)), 0);
    assert_int_equal(copy_meta_parse(&note, right, sizeof right), -EBADMSG); /* a NUL */
}

static void tells_what_is_fresh(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1800000000) * US;
    assert_true(copy_is_fresh(now, 10, now));
    assert_true(copy_is_fresh(now - 10 * US + 1, 10, now));
    assert_false(copy_is_fresh(now - 10 * US, 10, now));
    assert_false(copy_is_fresh(0, 315360000, now));
    assert_true(copy_is_fresh(now + 59 * US, 10, now));
    assert_false(copy_is_fresh(now + 60 * US, 10, now)); /* a clock was wrong */
    assert_true(copy_is_fresh(now - 315359999 * US, 315360000, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_files),          cmocka_unit_test(knows_names),
        cmocka_unit_test(comes_back_as_it_was), cmocka_unit_test(keeps_the_newest),
        cmocka_unit_test(refuses_other_texts),  cmocka_unit_test(tells_what_is_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
