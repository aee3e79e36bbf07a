#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/redis_scan.h"

#define TEXT(s)  s, sizeof(s) - 1
#define TEXT_MAX 100

static const struct {
    const char *bytes;
    size_t n;
    int code;
    int replies;
    int between; /* where code is 0 */
} ROWS[] = {
    {TEXT(""), 0, 0, 1},
    {TEXT("+OK\r\n"), 0, 1, 1},
    {TEXT("+OK\r\n-ERR no\r\n:-42\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n"), 0, 8, 1},
    {TEXT("*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n"), 0, 1, 1},
    {TEXT("*2\r\n$1\r\na\r\n"), 0, 0, 0},
    {TEXT("$5\r\nab"), 0, 0, 0},
    {TEXT("+half"), 0, 0, 0},
    {TEXT("+OK\r\n$1"), 0, 1, 0},
    {TEXT("$100\r\n"), 0, 0, 0},
    {TEXT("$101\r\n"), -EMSGSIZE, 0, 0},
    {TEXT("$2147483647\r\n"), -EMSGSIZE, 0, 0},
    {TEXT("$99999999999999999999\r\n"), -EPROTO, 0, 0},
    {TEXT("$-5\r\n"), -EPROTO, 0, 0},
    {TEXT("$\r\n"), -EPROTO, 0, 0},
    {TEXT("$-\r\n"), -EPROTO, 0, 0},
    {TEXT("$1x\r\n"), -EPROTO, 0, 0},
    {TEXT("$1\r\nab\r\n"), -EPROTO, 0, 0},
    {TEXT("*65537\r\n"), -EPROTO, 0, 0},
    {TEXT("*-2\r\n"), -EPROTO, 0, 0},
    {TEXT("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), 0, 1, 1},
    {TEXT("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"), -EPROTO, 0, 0},
    {TEXT("+a\n"), -EPROTO, 0, 0},
    {TEXT("+a\rb"), -EPROTO, 0, 0},
    {TEXT("HTTP/1.1 400\r\n"), -EPROTO, 0, 0},
    {TEXT(">1\r\n+push\r\n"), -EPROTO, 0, 0},
    {TEXT("%1\r\n"), -EPROTO, 0, 0},
    {TEXT("\r\n"), -EPROTO, 0, 0},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct redis_scan s;
        int r = 0;
        redis_scan_init(&s, TEXT_MAX);
        for (size_t at = 0; at < ROWS[i].n && r == 0; at++) /* byte by byte */
            r = redis_scan_bytes(&s, ROWS[i].bytes + at, 1);
        if (r != ROWS[i].code || s.replies != ROWS[i].replies || (!r && redis_scan_is_between(&s) != ROWS[i].between))
            fail_msg("%s: %d, %d replies", ROWS[i].bytes, r, (int)s.replies);
        redis_scan_init(&s, TEXT_MAX);
        if (redis_scan_bytes(&s, ROWS[i].bytes, ROWS[i].n) != ROWS[i].code)
            fail_msg("%s: not so in one piece", ROWS[i].bytes);
    }
}

static void test_a_line_has_an_end(void **state)
{
    struct redis_scan s;
    char line[1024];
    int r;
    (void)state;
    memset(line, 'x', sizeof line);
    redis_scan_init(&s, TEXT_MAX);
    r = redis_scan_bytes(&s, "+", 1);
    for (int i = 0; i < 64 && r == 0; i++)
        r = redis_scan_bytes(&s, line, sizeof line);
    assert_int_equal(r, 0);
    assert_int_equal(redis_scan_bytes(&s, line, 1), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_a_line_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
