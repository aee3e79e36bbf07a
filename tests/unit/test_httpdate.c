#include "codec/httpdate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])
#define NOW        1795000000 /* 2026 */
#define REFUSED    INT64_MIN

static const struct {
    const char *text;
    int64_t seconds;
} parsed[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Sun Nov 16 08:49:37 1994", 784975777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
    {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* another day of the week */
    {"sun, 06 nov 1994 08:49:37 gmt", 784111777},
    /* Two digits: at most 50 years ahead of 2026. */
    {"Friday, 01-Jan-76 00:00:00 GMT", 3345062400},
    {"Friday, 01-Jan-77 00:00:00 GMT", 220924800},
    {"Friday, 01-Jan-26 00:00:00 GMT", 1767225600},
    {"Friday, 01-Jan-99 00:00:00 GMT", 915148800},
    {"", REFUSED},
    {"0", REFUSED},
    {"784111777", REFUSED},
    {"Sun, 06 Nov 1994 08:49:37", REFUSED},
    {"Sun, 06 Nov 1994 08:49:37 UTC", REFUSED},
    {"Sun, 06 Nov 1994 08:49:37 +0000", REFUSED},
    {"Sun, 06 Nov 1994 08:49:37 GMT ", REFUSED},
    {" Sun, 06 Nov 1994 08:49:37 GMT", REFUSED},
    {"Sun, 6 Nov 1994 08:49:37 GMT", REFUSED},
    {"Sun, 06 Nov 94 08:49:37 GMT", REFUSED},
    {"Sun, 06  Nov 1994 08:49:37 GMT", REFUSED},
    {"Sun,06 Nov 1994 08:49:37 GMT", REFUSED},
    {"Son, 06 Nov 1994 08:49:37 GMT", REFUSED},
    {"Sun, 06 Okt 1994 08:49:37 GMT", REFUSED},
    {"Sun, 00 Nov 1994 08:49:37 GMT", REFUSED},
    {"Sun, 31 Nov 1994 08:49:37 GMT", REFUSED},
    {"Wed, 29 Feb 2023 12:00:00 GMT", REFUSED},
    {"Wed, 29 Feb 1900 12:00:00 GMT", REFUSED},
    {"Sun, 06 Nov 1994 24:00:00 GMT", REFUSED},
    {"Sun, 06 Nov 1994 08:60:37 GMT", REFUSED},
    {"Sun, 06 Nov 1994 08:49:61 GMT", REFUSED},
    {"Sun, 06 Nov 1994 8:49:37 GMT", REFUSED},
    {"Sun, 06 Nov 1994 08:49 GMT", REFUSED},
    {"Sun, -6 Nov 1994 08:49:37 GMT", REFUSED},
    {"Sun, 06-Nov-94 08:49:37 GMT", REFUSED},
    {"Sunday, 06-Nov-1994 08:49:37 GMT", REFUSED},
    {"Sunday, 31-Feb-94 08:49:37 GMT", REFUSED},
    {"Sun Nov 6 08:49:37 1994", REFUSED},
    {"Sun Nov  6 08:49:37 1994 GMT", REFUSED},
    {"Sun Nov  0 08:49:37 1994", REFUSED},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(parsed); i++) {
        int64_t seconds = REFUSED;
        int r = httpdate_parse(parsed[i].text, NOW, &seconds);
        if (seconds != parsed[i].seconds)
            fail_msg("case %zu: %s: %lld", i, parsed[i].text, (long long)seconds);
        assert_int_equal(r, parsed[i].seconds == REFUSED ? -EINVAL : 0);
    }
}

static void test_format(void **state)
{
    (void)state;
    char text[HTTPDATE_SIZE];
    assert_string_equal(httpdate_format(text, 784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(httpdate_format(text, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(httpdate_format(text, -5), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(httpdate_format(text, INT64_MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(httpdate_format(text, INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    for (int64_t t = 0; t < INT64_C(253402300800); t += 86399 * 97) {
        int64_t back = -1;
        assert_int_equal(httpdate_parse(httpdate_format(text, t), NOW, &back), 0);
        assert_int_equal(back, t);
    }
}

/* Any present leads to some year. */
static void test_odd_present(void **state)
{
    (void)state;
    static const int64_t nows[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (size_t i = 0; i < LEN(nows); i++) {
        int64_t seconds;
        assert_int_equal(httpdate_parse("Friday, 01-Jan-76 00:00:00 GMT", nows[i], &seconds), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_odd_present),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
