#include "api/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/accepts.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])
#define TOKEN      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123-_9"

static const struct {
    const char *cookies;
    int found;
} cases[] = {
    {"__Host-perdura=" TOKEN, 1},
    {"a=b; __Host-perdura=" TOKEN "; c=d", 1},
    {"a=b;__Host-perdura=" TOKEN ";", 1},
    {"__Host-perdura=" TOKEN " ; a=b", 1},
    {"; ;  __Host-perdura=" TOKEN, 1},
    {"a=__Host-perdura=" TOKEN, 0},
    {"__host-perdura=" TOKEN, 0},
    {"x__Host-perdura=" TOKEN, 0},
    {"__Host-perdura2=" TOKEN, 0},
    {"__Host-perdura=" TOKEN "; __Host-perdura=" TOKEN, 0},
    {"__Host-perdura=; __Host-perdura=" TOKEN, 0},
    {"__Host-perdura=" TOKEN "x", 0},
    {"__Host-perdura=\"" TOKEN "\"", 0},
    {"__Host-perdura=abc", 0},
    {"__Host-perdura=", 0},
    {"__Host-perdura", 0},
    {"__Host-perdura=abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123+/9", 0},
    {"__Host-perdura=abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123-;9", 0},
    {"=; =", 0},
    {"", 0},
    {NULL, 0},
};

static void test_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        char token[SESSION_TOKEN_SIZE] = "";
        int r = session_token(token, cases[i].cookies);
        if (r != (cases[i].found ? 0 : -ENOENT) || (r == 0 && strcmp(token, TOKEN) != 0))
            fail_msg("case %zu: %s: %d, %s", i, cases[i].cookies, r, token);
    }
}

/* By Python: hmac.new(b"abc...", b"csrf", "sha256").hexdigest() */
static void test_csrf(void **state)
{
    (void)state;
    char csrf[SESSION_CSRF_SIZE];
    assert_int_equal(session_csrf(csrf, TOKEN), 0);
    assert_string_equal(csrf, "09e10cd55e3bd93f9c0e9204fa533aacad9cf719329b1ae1af5ba6cb04c8ebff");
}

static const struct {
    const char *value;
    int gzip;
} codings[] = {
    {"gzip", 1},
    {"GZIP", 1},
    {"gzip, deflate, br, zstd", 1},
    {"br;q=1.0, gzip;q=0.8, *;q=0.1", 1},
    {"br,gzip ; q=0.001", 1},
    {"*", 1},
    {"*;q=0.5", 1},
    {"deflate, *;q=0, gzip", 1},
    {"gzip;q=0", 0},
    {"gzip;q=0.000, *", 0},
    {"*;q=0", 0},
    {"identity", 0},
    {"xgzip, gzipx", 0},
    {"gzip;level=9", 0},
    {", ,", 0},
    {"", 0},
    {NULL, 0},
};

static void test_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(codings); i++)
        if (accepts_coding(codings[i].value, "gzip") != codings[i].gzip)
            fail_msg("%s", codings[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_csrf),
        cmocka_unit_test(test_accepts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
