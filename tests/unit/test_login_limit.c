#include "api/login_limit.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW 1000000

static const unsigned char *client(const char *text)
{
    static unsigned char address[16];
    assert_int_equal(inet_pton(AF_INET6, text, address), 1);
    return address;
}

static void fail_times(struct login_limit *limit, const char *who, int times, int64_t at_ms)
{
    while (times--)
        login_limit_failed(limit, client(who), at_ms);
}

static void test_five_a_minute(void **state)
{
    (void)state;
    struct login_limit limit = {0};
    for (int i = 0; i < LOGIN_LIMIT_CLIENT; i++) {
        assert_int_equal(login_limit_wait_ms(&limit, client("::ffff:192.0.2.1"), NOW + i), 0);
        login_limit_failed(&limit, client("::ffff:192.0.2.1"), NOW + i);
    }
    assert_int_equal(login_limit_wait_ms(&limit, client("::ffff:192.0.2.1"), NOW + 4), LOGIN_LIMIT_MS - 4);
    assert_int_equal(login_limit_wait_ms(&limit, client("::ffff:192.0.2.1"), NOW + LOGIN_LIMIT_MS - 1), 1);
    assert_int_equal(login_limit_wait_ms(&limit, client("::ffff:192.0.2.1"), NOW + LOGIN_LIMIT_MS), 0);
    login_limit_failed(&limit, client("::ffff:192.0.2.1"), NOW + LOGIN_LIMIT_MS);
    assert_int_equal(login_limit_wait_ms(&limit, client("::ffff:192.0.2.1"), NOW + LOGIN_LIMIT_MS), 1);
}

static void test_who_is_one_client(void **state)
{
    (void)state;
    static const struct {
        const char *failed, *asks;
        int same;
    } cases[] = {
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1", 1},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", 0},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", 1},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", 0},
        {"::1", "::1", 1},
        {"::1", "::ffff:127.0.0.1", 0},
        {"0:0:c000:201::1", "::ffff:192.0.2.1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct login_limit limit = {0};
        fail_times(&limit, cases[i].failed, LOGIN_LIMIT_CLIENT, NOW);
        if ((login_limit_wait_ms(&limit, client(cases[i].asks), NOW) > 0) != cases[i].same)
            fail_msg("%s and %s", cases[i].failed, cases[i].asks);
    }
}

static void test_all_together(void **state)
{
    (void)state;
    struct login_limit limit = {0};
    char name[40];
    for (int i = 0; i < LOGIN_LIMIT_ALL; i++) {
        snprintf(name, sizeof name, "2001:db8:0:%x::1", (unsigned)i);
        assert_int_equal(login_limit_wait_ms(&limit, client(name), NOW + i), 0);
        login_limit_failed(&limit, client(name), NOW + i);
    }
    assert_int_equal(login_limit_wait_ms(&limit, client("::1"), NOW + 100), LOGIN_LIMIT_MS - 100);
    assert_int_equal(login_limit_wait_ms(&limit, client("::1"), NOW + LOGIN_LIMIT_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_a_minute),
        cmocka_unit_test(test_who_is_one_client),
        cmocka_unit_test(test_all_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
