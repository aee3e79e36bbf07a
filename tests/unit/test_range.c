#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *value;
    int64_t size;
    int status;
    const char *content; /* Content-Range; NULL for 200 */
} cases[] = {
    {NULL, 100, 200, NULL},
    {"bytes=0-9", 100, 206, "bytes 0-9/100"},
    {"bytes=0-0", 100, 206, "bytes 0-0/100"},
    {"bytes=99-99", 100, 206, "bytes 99-99/100"},
    {"bytes=0-99", 100, 206, "bytes 0-99/100"},
    {"bytes=0-100", 100, 206, "bytes 0-99/100"},
    {"bytes=50-", 100, 206, "bytes 50-99/100"},
    {"bytes=0-", 100, 206, "bytes 0-99/100"},
    {"bytes=-1", 100, 206, "bytes 99-99/100"},
    {"bytes=-100", 100, 206, "bytes 0-99/100"},
    {"bytes=-101", 100, 206, "bytes 0-99/100"},
    {"BYTES=0-9", 100, 206, "bytes 0-9/100"},
    {"bytes=007-0008", 100, 206, "bytes 7-8/100"},
    {"bytes= 0-9", 100, 206, "bytes 0-9/100"},
    {"bytes=,\t0-9 ,, ", 100, 206, "bytes 0-9/100"},
    /* Large ones. */
    {"bytes=0-9223372036854775807", 100, 206, "bytes 0-99/100"},
    {"bytes=0-99999999999999999999999999", 100, 206, "bytes 0-99/100"},
    {"bytes=-99999999999999999999999999", 100, 206, "bytes 0-99/100"},
    {"bytes=99999999999999999999999999-", 100, 416, "bytes */100"},
    {"bytes=18446744073709551616-18446744073709551617", 100, 416, "bytes */100"},
    {"bytes=9223372036854775806-", INT64_MAX, 206, "bytes 9223372036854775806-9223372036854775806/9223372036854775807"},
    {"bytes=-1", INT64_MAX, 206, "bytes 9223372036854775806-9223372036854775806/9223372036854775807"},
    /* Nothing there. */
    {"bytes=100-", 100, 416, "bytes */100"},
    {"bytes=100-200", 100, 416, "bytes */100"},
    {"bytes=-0", 100, 416, "bytes */100"},
    {"bytes=0-", 0, 416, "bytes */0"},
    {"bytes=0-0", 0, 416, "bytes */0"},
    {"bytes=-0", 0, 416, "bytes */0"},
    {"bytes=-5", 0, 200, NULL},
    /* Several. */
    {"bytes=0-1,5-6", 100, 200, NULL},
    {"bytes=0-1, -5", 100, 200, NULL},
    {"bytes=200-,300-", 100, 200, NULL},
    /* Ignored. */
    {"", 100, 200, NULL},
    {"bytes", 100, 200, NULL},
    {"bytes=", 100, 200, NULL},
    {"bytes=,", 100, 200, NULL},
    {"bytes=-", 100, 200, NULL},
    {"bytes=5", 100, 200, NULL},
    {"bytes=5-4", 100, 200, NULL},
    {"bytes=200-199", 100, 200, NULL},
    {"bytes=--5", 100, 200, NULL},
    {"bytes=0--5", 100, 200, NULL},
    {"bytes=+0-5", 100, 200, NULL},
    {"bytes=0 -5", 100, 200, NULL},
    {"bytes=0- 5", 100, 200, NULL},
    {"bytes=0-5 6", 100, 200, NULL},
    {"bytes=0-5;", 100, 200, NULL},
    {"bytes=0x0-5", 100, 200, NULL},
    {"bytes=a-b", 100, 200, NULL},
    {"bytes=0-1,x", 100, 200, NULL},
    {"bytes =0-5", 100, 200, NULL},
    {" bytes=0-5", 100, 200, NULL},
    {"items=0-5", 100, 200, NULL},
    {"0-5", 100, 200, NULL},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        char content[RANGE_CONTENT_SIZE];
        struct range r = range_parse(cases[i].value, cases[i].size);
        if ((int)r.status != cases[i].status)
            fail_msg("case %zu: %s: %d", i, cases[i].value, (int)r.status);
        if (cases[i].content)
            assert_string_equal(range_content(content, &r, cases[i].size), cases[i].content);
        if (r.status != RANGE_PART) {
            assert_int_equal(r.first, 0);
            assert_int_equal(r.last, cases[i].size - 1);
        }
    }
}

#define MODIFIED 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct {
    const char *value;
    int applies;
} if_ranges[] = {
    {NULL, 1},
    {"\"abc\"", 1},
    {"\"abd\"", 0},
    {"\"ab\"", 0},
    {"\"abc", 0},
    {"\"abc\", \"abc\"", 0},
    {"W/\"abc\"", 0},
    {"abc", 0},
    {"*", 0},
    {"", 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 1},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 1},
    {"Sun Nov  6 08:49:37 1994", 1},
    {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
    {"Sun, 06 Nov 1994 08:49:38 GMT", 0},
    {"Sun, 06 Nov 1994 08:49:37", 0},
};

static void test_if_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(if_ranges); i++)
        if (range_if_range(if_ranges[i].value, "\"abc\"", MODIFIED) != if_ranges[i].applies)
            fail_msg("case %zu: %s", i, if_ranges[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_if_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
