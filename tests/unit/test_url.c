#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/url.h"
#include "fs/safepath.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *raw;
    const char *path; /* NULL: refused here */
    int names_image;  /* what safepath_check says then */
} paths[] = {
    {"a.jpg", "a.jpg", 1},
    {"a/b/c.jpg", "a/b/c.jpg", 1},
    {"caf%C3%A9.png", "caf\xc3\xa9.png", 1},
    {"caf%c3%a9.png", "caf\xc3\xa9.png", 1},
    {"caf\xc3\xa9.png", "caf\xc3\xa9.png", 1},
    {"a%20b", "a b", 1},
    {"a+b", "a+b", 1},
    {"a%2Bb", "a+b", 1},
    {"100%25", "100%", 1},
    {"%2541", "%41", 1}, /* once, not twice */
    {"%252e%252e", "%2e%2e", 1},
    {"%252F", "%2F", 1},
    {"%3f%23%26", "?#&", 1},
    {"a;v=1,b:c@d!$'()*=", "a;v=1,b:c@d!$'()*=", 1},
    {"%5C", "\\", 1},
    {"a%0Ab%7F", "a\nb\x7f", 1},
    {"^|`{}\"<>", "^|`{}\"<>", 1},
    {"%2e%2e/x", "../x", 0},
    {"..%5c..%5cx", "..\\..\\x", 1}, /* one name */
    {"a/%2E/b", "a/./b", 0},
    {"a//b", "a//b", 0},
    {"/etc/passwd", "/etc/passwd", 0},
    {"%2eperdura/x", ".perdura/x", 0},
    {"%FF", "\xff", 0},
    {"%C0%AE%C0%AE/x", "\xc0\xae\xc0\xae/x", 0},
    {"", "", 0},
    {"a%2Fb", NULL, 0},
    {"..%2f..%2fetc", NULL, 0},
    {"a%00.jpg", NULL, 0},
    {"%", NULL, 0},
    {"a%2", NULL, 0},
    {"a%4", NULL, 0},
    {"%4G", NULL, 0},
    {"%G4", NULL, 0},
    {"%%41", NULL, 0},
    {"% 41", NULL, 0},
    {"%-1", NULL, 0},
    {"%u0041", NULL, 0},
    {"a\\b", NULL, 0},
    {"a b", NULL, 0},
    {"a\tb", NULL, 0},
    {"a\x7f", NULL, 0},
    {"a?b", NULL, 0},
    {"a#b", NULL, 0},
};

static void test_decode_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(paths); i++) {
        char dst[64];
        size_t len = SIZE_MAX;
        struct error e = {0};
        int r = url_decode_path(dst, &len, paths[i].raw, strlen(paths[i].raw), &e);
        if (r != (paths[i].path ? 0 : -EINVAL))
            print_error("case %zu: %s\n", i, paths[i].raw);
        assert_int_equal(r, paths[i].path ? 0 : -EINVAL);
        assert_int_equal(e.text[0] != '\0', r != 0);
        assert_int_equal(url_decode_path(dst, NULL, paths[i].raw, strlen(paths[i].raw), NULL), r);
        if (r < 0)
            continue;
        assert_string_equal(dst, paths[i].path);
        assert_int_equal(len, strlen(paths[i].path));
        assert_int_equal(safepath_check(dst, len, NULL) == 0, paths[i].names_image);
    }
    char dst[8];
    assert_int_equal(url_decode_path(dst, NULL, "a\0b", 3, NULL), -EINVAL);
    assert_int_equal(url_decode_path(dst, NULL, "a%41", 3, NULL), -EINVAL); /* n says how much is meant */
}

static void test_encode(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(url_encode_path(&out, "a/b c.jpg", 9), 0);
    assert_string_equal(out.data, "a/b%20c.jpg");
    buf_reset(&out);
    assert_int_equal(url_encode_path(&out, "\xc3\xa9%+\"<&'\\?#\n\0-._~", 17), 0);
    assert_string_equal(out.data, "%C3%A9%25%2B%22%3C%26%27%5C%3F%23%0A%00-._~");
    buf_reset(&out);
    assert_int_equal(url_encode_value(&out, "a/b=c", 5), 0);
    assert_string_equal(out.data, "a%2Fb%3Dc");
    assert_int_equal(url_encode_value(&out, "0123456789012345678901234567890123456789", 40), 0);
    buf_release(&out);

    buf_init(&out, 4);
    assert_int_equal(url_encode_path(&out, "aa ", 3), -EMSGSIZE);
    buf_release(&out);
}

static const struct {
    const char *raw;
    int code;
    int count;
    const char *name, *value; /* one of them */
} queries[] = {
    {"", 0, 0, "a", NULL},
    {"a=1", 0, 1, "a", "1"},
    {"a=1&b=2", 0, 2, "b", "2"},
    {"a", 0, 1, "a", ""},
    {"a=", 0, 1, "a", ""},
    {"a==", 0, 1, "a", "="},
    {"a=1=2", 0, 1, "a", "1=2"},
    {"=1", 0, 1, "", "1"},
    {"&&a=1&&", 0, 1, "a", "1"},
    {"a=b+c", 0, 1, "a", "b c"},
    {"a=b%2Bc", 0, 1, "a", "b+c"},
    {"a+b=1", 0, 1, "a b", "1"},
    {"content%5Ftype=loyalty.product&object_id=42&variant=cover", 0, 3, "content_type", "loyalty.product"},
    {"a=%26&b=%3D", 0, 2, "a", "&"},
    {"a=%2526", 0, 1, "a", "%26"},
    {"a=/b/c", 0, 1, "a", "/b/c"},
    {"q=%C3%A9", 0, 1, "q", "\xc3\xa9"},
    {"q=\xc3\xa9", 0, 1, "q", "\xc3\xa9"},
    {"A=1&a=2", 0, 2, "a", "2"},
    {"a=1;b=2", 0, 1, "a", "1;b=2"},
    {"a=1&a=2", -EINVAL, 0, NULL, NULL},
    {"a=1&a=1", -EINVAL, 0, NULL, NULL},
    {"a&%61=1", -EINVAL, 0, NULL, NULL},
    {"a=%", -EINVAL, 0, NULL, NULL},
    {"a=%4", -EINVAL, 0, NULL, NULL},
    {"%zz=1", -EINVAL, 0, NULL, NULL},
    {"a=%4&1=b", -EINVAL, 0, NULL, NULL},
    {"a=x%00y", -EINVAL, 0, NULL, NULL},
    {"a=%FF", -EINVAL, 0, NULL, NULL},
    {"a=%C3&b=%A9", -EINVAL, 0, NULL, NULL},
};

static void test_query(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(queries); i++) {
        struct url_query q;
        struct error e = {0};
        int r = url_query_parse(&q, queries[i].raw, strlen(queries[i].raw), &e);
        if (r != queries[i].code)
            print_error("case %zu: %s\n", i, queries[i].raw);
        assert_int_equal(r, queries[i].code);
        assert_int_equal(e.text[0] != '\0', r != 0);
        if (r < 0)
            continue;
        assert_int_equal(q.count, queries[i].count);
        const char *value = url_query_get(&q, queries[i].name);
        if (queries[i].value)
            assert_string_equal(value, queries[i].value);
        else
            assert_null(value);
        assert_null(url_query_get(&q, "none"));
        url_query_release(&q);
        url_query_release(&q);
    }
}

static void test_query_limits(void **state)
{
    (void)state;
    struct url_query q;
    struct buf raw;
    buf_init(&raw, 2 * URL_QUERY_MAX_BYTES);
    for (int i = 0; i < URL_QUERY_PARAMS_MAX; i++)
        assert_int_equal(buf_addf(&raw, "p%d&", i), 0);
    assert_int_equal(url_query_parse(&q, raw.data, raw.len, NULL), 0);
    assert_int_equal(q.count, URL_QUERY_PARAMS_MAX);
    assert_string_equal(url_query_get(&q, "p31"), "");
    url_query_release(&q);
    assert_int_equal(buf_addstr(&raw, "x"), 0);
    assert_int_equal(url_query_parse(&q, raw.data, raw.len, NULL), -E2BIG);

    while (raw.len < URL_QUERY_MAX_BYTES)
        assert_int_equal(buf_addstr(&raw, "&"), 0);
    buf_reset(&raw);
    assert_int_equal(buf_addstr(&raw, "a="), 0);
    while (raw.len < URL_QUERY_MAX_BYTES)
        assert_int_equal(buf_addstr(&raw, "x"), 0);
    assert_int_equal(url_query_parse(&q, raw.data, raw.len, NULL), 0);
    assert_int_equal(strlen(url_query_get(&q, "a")), URL_QUERY_MAX_BYTES - 2);
    url_query_release(&q);
    assert_int_equal(buf_addstr(&raw, "x"), 0);
    assert_int_equal(url_query_parse(&q, raw.data, raw.len, NULL), -E2BIG);
    buf_release(&raw);
    assert_int_equal(url_query_parse(&q, NULL, 0, NULL), 0);
    assert_int_equal(q.count, 0);
    url_query_release(&q);
}

static const struct {
    const char *raw;
    int has;
} versions[] = {
    {"v=1", 1},   {"a=1&v=2", 1}, {"v=1&a=%", 1}, {"", 0},      {"v", 0},    {"v=", 0},    {"vv=1", 0},
    {"a=v=1", 0}, {"V=1", 0},     {"a&v=&b", 0},  {"%76=1", 0}, {"=v=1", 0}, {"&v=x&", 1},
};

static void test_query_has(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(versions); i++)
        if (url_query_has(versions[i].raw, strlen(versions[i].raw), "v") != versions[i].has)
            fail_msg("case %zu: %s", i, versions[i].raw);
    assert_false(url_query_has(NULL, 0, "v"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_path),  cmocka_unit_test(test_encode),    cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_limits), cmocka_unit_test(test_query_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
