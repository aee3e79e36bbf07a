/* The table of addresses that nothing is fetched from, at both ends of each range. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/net_address.h"

static const char *ask(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return net_address_refused((struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return net_address_refused((struct sockaddr *)&in6);
}

static void refuses_what_is_not_public(void **state)
{
    static const char *const refused[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.0",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.0",
        "192.88.99.255",
        "192.168.0.0",
        "192.168.255.255",
        "192.175.48.1",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.0",
        "198.51.100.255",
        "203.0.113.0",
        "203.0.113.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "2002::1",
        "2002:ffff::1",
        "2620:4f:8000::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff00::1",
        "ff02::1",
        "ffff::1",
        "1fff::1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!ask(refused[i]))
            fail_msg("%s is let through", refused[i]);
}

static void lets_public_addresses_through(void **state)
{
    static const char *const fine[] = {
        "1.0.0.0",          "8.8.8.8",         "9.255.255.255",   "11.0.0.0",
        "100.63.255.255",   "100.128.0.0",     "126.255.255.255", "128.0.0.0",
        "169.253.255.255",  "169.255.0.0",     "172.15.255.255",  "172.32.0.0",
        "191.255.255.255",  "192.0.1.0",       "192.0.3.0",       "192.88.98.255",
        "192.88.100.0",     "192.167.255.255", "192.169.0.0",     "198.17.255.255",
        "198.20.0.0",       "198.51.99.255",   "198.51.101.0",    "203.0.112.255",
        "203.0.114.0",      "223.255.255.255", "2001:200::1",     "2001:4860:4860::8888",
        "2001:db7:ffff::1", "2001:db9::1",     "2003::1",         "2606:4700::1111",
        "2620:4f:7fff::1",  "2620:4f:8001::1", "2a00::1",         "3ffe:ffff::1",
        "3fff:1000::1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (ask(fine[i]))
            fail_msg("%s is taken for %s", fine[i], ask(fine[i]));
}

static void refuses_other_families(void **state)
{
    struct sockaddr other = {.sa_family = AF_UNIX};
    (void)state;
    assert_non_null(net_address_refused(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_public),
        cmocka_unit_test(lets_public_addresses_through),
        cmocka_unit_test(refuses_other_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
