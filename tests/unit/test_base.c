#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static void test_buf_add(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_null(b.data);
    assert_int_equal(buf_add(&b, "a\0b", 3), 0);
    assert_int_equal(buf_addstr(&b, "-"), 0);
    assert_int_equal(buf_addf(&b, "%d%s", 7, "x"), 0);
    assert_int_equal(buf_add(&b, NULL, 0), 0);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "a\0b-7x", 7);

    const char *memory = b.data;
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    assert_int_equal(buf_addstr(&b, "again"), 0);
    assert_ptr_equal(b.data, memory);

    buf_release(&b);
    assert_null(b.data);
    assert_int_equal(buf_addstr(&b, "usable"), 0);
    assert_string_equal(b.data, "usable");
    buf_release(&b);
}

static void test_buf_nothing(void **state)
{
    (void)state;
    struct buf b;
    char *at = NULL;
    buf_init(&b, 0);
    buf_reset(&b);
    assert_int_equal(buf_addstr(&b, ""), 0);
    assert_string_equal(b.data, "");
    assert_int_equal(buf_addstr(&b, "x"), -EMSGSIZE);
    assert_int_equal(buf_reserve(&b, 1, &at), -EMSGSIZE);
    assert_null(at);
    buf_release(&b);
}

/* Byte by byte up to the maximum: all there, never more memory than the maximum and its NUL, then no further. */
static void test_buf_maximum(void **state)
{
    (void)state;
    enum { MAX = 1000 };
    struct buf b;
    buf_init(&b, MAX);
    for (size_t i = 0; i < MAX; i++) {
        char c = (char)('a' + i % 26);
        assert_int_equal(buf_add(&b, &c, 1), 0);
        assert_int_equal(b.len, i + 1);
        assert_int_equal(b.data[b.len], '\0');
        assert_true(b.room > b.len && b.room <= MAX + 1);
    }
    for (size_t i = 0; i < MAX; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    assert_int_equal(buf_add(&b, "!", 1), -EMSGSIZE);
    assert_int_equal(buf_addf(&b, "%d", 1), -EMSGSIZE);
    assert_int_equal(b.len, MAX);
    assert_int_equal(b.data[MAX], '\0');
    buf_release(&b);
}

static void test_buf_reserve(void **state)
{
    (void)state;
    struct buf b;
    char *at;
    buf_init(&b, 300);
    assert_int_equal(buf_addstr(&b, "head "), 0);
    assert_int_equal(buf_reserve(&b, 295, &at), 0);
    assert_ptr_equal(at, b.data + 5);
    assert_true(b.room >= 301);
    assert_int_equal(b.len, 5);
    memset(at, '.', 295);
    at[295] = '\0';
    b.len += 295;
    assert_int_equal(buf_reserve(&b, 0, &at), 0);
    assert_int_equal(buf_reserve(&b, 1, &at), -EMSGSIZE);
    buf_release(&b);
}

static void test_buf_failure_keeps(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_addstr(&b, "kept"), 0);
    assert_int_equal(buf_addstr(&b, "too long"), -EMSGSIZE);
    assert_int_equal(buf_addf(&b, "%s", "too long"), -EMSGSIZE);
    assert_int_equal(buf_add(&b, "", SIZE_MAX), -EMSGSIZE);
    assert_int_equal(b.len, 4);
    assert_string_equal(b.data, "kept");
    assert_int_equal(buf_addstr(&b, "four"), 0);
    assert_string_equal(b.data, "keptfour");
    buf_release(&b);
}

/* The sanitizers end a program that asks for this much. */
static void test_buf_no_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#else
    struct buf b;
    char *at = NULL;
    buf_init(&b, SIZE_MAX / 2);
    assert_int_equal(buf_addstr(&b, "kept"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 4, &at), -ENOMEM);
    assert_null(at);
    assert_string_equal(b.data, "kept");
    assert_int_equal(buf_addstr(&b, "."), 0);
    assert_string_equal(b.data, "kept.");
    buf_release(&b);
#endif
}

static void test_printable(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *shown;
    } cases[] = {
        {"", 1, ""},
        {"plain name.jpg", 32, "plain name.jpg"},
        {"caf\xc3\xa9", 32, "caf\xc3\xa9"},
        {"a\nb\rc\td", 32, "a\\nb\\rc\\td"},
        {"\x1b[2J\x7f\x01", 32, "\\x1b[2J\\x7f\\x01"},
        {"abc", 4, "abc"},
        {"abcd", 4, "..."},
        {"abcdefgh", 9, "abcdefgh"},
        {"abcdefgh", 8, "abcd..."},
        {"abc", 3, "ab"},
        {"\n", 2, ""},
        {"ab", 1, ""},
        {"caf\xc3\xa9s", 6, "ca..."},
        {"ab\xc3\xa9 and more", 8, "ab\xc3\xa9..."},
        {"ab\xc3\xa9 and more", 7, "ab..."}, /* not half a character */
        {"\xff.png\xc3", 32, "\\xff.png\\xc3"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char dst[33];
        memset(dst, '#', sizeof dst);
        assert_ptr_equal(printable(dst, cases[i].size, cases[i].text), dst);
        assert_string_equal(dst, cases[i].shown);
        assert_int_equal(dst[cases[i].size], '#');
    }
    char untouched = '#';
    printable(&untouched, 0, "text");
    assert_int_equal(untouched, '#');
}

/* Whatever the room: terminated inside it, and on one line. */
static void test_printable_any_room(void **state)
{
    (void)state;
    const char *text = "a\x01\n\xc3\xa9\tz\x7f\r12345";
    for (size_t size = 1; size < 48; size++) {
        char dst[48];
        memset(dst, '#', sizeof dst);
        printable(dst, size, text);
        assert_true(strlen(dst) < size);
        for (const char *c = dst; *c; c++)
            assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void test_error_is_sentence(void **state)
{
    (void)state;
    struct error e, other;
    assert_int_equal(error_set_sentence(&e, -ENOTCONN, "the database is %s", "away"), -ENOTCONN);
    assert_string_equal(e.text, "the database is away");
    assert_true(e.is_sentence);
    assert_int_equal(error_pass(&other, -EHOSTDOWN, &e), -EHOSTDOWN);
    assert_string_equal(other.text, "the database is away");
    assert_true(other.is_sentence && other.code == -EHOSTDOWN);
    error_set(&e, -EFBIG, "is too large");
    assert_false(e.is_sentence);
    assert_int_equal(error_set_sentence(NULL, -EIO, "nobody reads %d", 1), -EIO);
    assert_int_equal(error_pass(NULL, -EIO, &e), -EIO);
}

static void test_error_set(void **state)
{
    (void)state;
    struct error e = {0};
    assert_int_equal(error_set(&e, -ENOENT, "%s is missing: run `%s`", "a\nb", "perdura migrate"), -ENOENT);
    assert_int_equal(e.code, -ENOENT);
    assert_string_equal(e.text, "a\\nb is missing: run `perdura migrate`");

    assert_int_equal(error_set(NULL, -EIO, "nobody reads %d", 1), -EIO);

    char longer[2 * ERROR_TEXT_MAX];
    memset(longer, '\x01', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(error_set(&e, -EINVAL, "%s", longer), -EINVAL);
    assert_int_equal(e.code, -EINVAL);
    assert_true(strlen(e.text) < sizeof e.text);

    for (size_t i = 0; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa9", 2);
    for (int lead = 0; lead < 2; lead++) { /* wherever it is cut, no character is halved */
        error_set(&e, -EINVAL, "%.*s%.*s", lead, "-", (int)sizeof longer - 2, longer);
        assert_true(utf8_valid(e.text, strlen(e.text)));
    }

    assert_string_equal(e.text + strlen(e.text) - 3, "...");
}

static void test_clock_iso(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {999999, "1970-01-01T00:00:00Z"},
        {1000000, "1970-01-01T00:00:01Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {-1000000, "1969-12-31T23:59:59Z"},
        {-1000001, "1969-12-31T23:59:58Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00Z"},
        {INT64_C(1795223882500000), "2026-11-21T01:18:02Z"},
        {INT64_C(-62135596800000000), "1-01-01T00:00:00Z"},
    };
    char text[CLOCK_ISO_SIZE];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_ptr_equal(clock_iso(text, cases[i].us), text);
        assert_string_equal(text, cases[i].text);
    }
    assert_true(strlen(clock_iso(text, INT64_MAX)) < sizeof text);
    assert_true(strlen(clock_iso(text, INT64_MIN)) < sizeof text);
}

static void test_clock_parse_iso(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } right[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T01:18:02Z", INT64_C(1795223882000000)},
        {"2026-11-21t01:18:02.25z", INT64_C(1795223882250000)},
        {"2026-11-21T01:18:02.1234567Z", INT64_C(1795223882123456)},
        {"2026-11-21T02:48:02+01:30", INT64_C(1795223882000000)},
        {"2026-11-20T23:18:02.5-02:00", INT64_C(1795223882500000)},
        {"1969-12-31T23:59:59.5Z", -500000},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
    };
    static const char *const wrong[] = {
        "",
        "now",
        "2026-11-21",
        "2026-11-21T01:18:02",
        "2026-11-21 01:18:02Z",
        "2026-11-21T01:18Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-21T25:00:00Z",
        "2026-11-21T01:18:02.Z",
        "2026-11-21T01:18:02+1:30",
        "2026-11-21T01:18:02+0130",
        "2026-11-21T01:18:02+24:00",
        "2026-11-21T01:18:02+01:60",
        "2026-11-21T01:18:02Z ",
        " 2026-11-21T01:18:02Z",
        "+026-11-21T01:18:02Z",
        "2026-11-21T01:18:02+",
        "2026-11-21T01:18:02+01:3",
        "2026-11-21T01:18:02+01:30Z",
        "2026-11-21T01:18:02+:0130",
    };
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        int64_t us = -1;
        assert_int_equal(clock_parse_iso(right[i].text, &us), 0);
        assert_int_equal(us, right[i].us);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t us = -1;
        assert_int_equal(clock_parse_iso(wrong[i], &us), -EINVAL);
        assert_int_equal(us, -1);
    }
}

static void test_clock_timespec(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        time_t seconds;
        long nanoseconds;
    } cases[] = {
        {0, 0, 0},
        {1, 0, 1},
        {1500000000, 1, 500000000},
        {-1, -1, 999999999},
        {-1000000000, -1, 0},
        {-1000000001, -2, 999999999},
        {INT64_MAX, 9223372036, 854775807},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct timespec ts = clock_timespec(cases[i].ns);
        assert_int_equal(ts.tv_sec, cases[i].seconds);
        assert_int_equal(ts.tv_nsec, cases[i].nanoseconds);
        assert_int_equal(clock_ns(ts), cases[i].ns);
    }
}

static void test_clock_left(void **state)
{
    (void)state;
    int64_t now = clock_monotonic_ms();
    assert_int_equal(clock_left_ms(now - 1), 0);
    assert_int_equal(clock_left_ms(0), 0);
    assert_in_range(clock_left_ms(now + 60000), 1, 60000);
    assert_int_equal(clock_left_ms(now + (int64_t)INT_MAX * 2), INT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_add),           cmocka_unit_test(test_buf_nothing),
        cmocka_unit_test(test_buf_maximum),       cmocka_unit_test(test_buf_reserve),
        cmocka_unit_test(test_buf_failure_keeps), cmocka_unit_test(test_buf_no_memory),
        cmocka_unit_test(test_printable),         cmocka_unit_test(test_printable_any_room),
        cmocka_unit_test(test_error_set),         cmocka_unit_test(test_error_is_sentence),
        cmocka_unit_test(test_clock_iso),         cmocka_unit_test(test_clock_timespec),
        cmocka_unit_test(test_clock_left),        cmocka_unit_test(test_clock_parse_iso),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
