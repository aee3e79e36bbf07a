#include "api/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    char *tokens; /* as config_load leaves them */
    unsigned open_routes;
    const char *authorization;
    unsigned open;
    enum auth_answer answer;
} cases[] = {
    {"abc,def==", 0, "Bearer abc", 0, AUTH_GRANTED},
    {"abc,def==", 0, "Bearer def==", 0, AUTH_GRANTED},
    {"abc,def==", 0, "bearer abc", 0, AUTH_GRANTED},
    {"abc,def==", 0, "BEARER   abc ", 0, AUTH_GRANTED},
    {"abc,def==", 0, "Bearer ABC", 0, AUTH_WRONG},
    {"abc,def==", 0, "Bearer ab", 0, AUTH_WRONG},
    {"abc,def==", 0, "Bearer abcd", 0, AUTH_WRONG},
    {"abc,def==", 0, "Bearer def", 0, AUTH_WRONG},
    {"abc,def==", 0, "Bearer abc,def==", 0, AUTH_MALFORMED},
    {"abc,def==", 0, "Bearer abc def==", 0, AUTH_MALFORMED},
    {"abc,def==", 0, "Bearer \"abc\"", 0, AUTH_MALFORMED},
    {"abc,def==", 0, "Bearer ", 0, AUTH_MALFORMED},
    {"abc,def==", 0, "Bearer", 0, AUTH_MALFORMED},
    {"abc,def==", 0, "Bearer =", 0, AUTH_MALFORMED},
    {"abc,def==", 0, "Bearerabc", 0, AUTH_MISSING},
    {"abc,def==", 0, "Bearer\tabc", 0, AUTH_MISSING},
    {"abc,def==", 0, "Basic YWJjOmRlZg==", 0, AUTH_MISSING},
    {"abc,def==", 0, "abc", 0, AUTH_MISSING},
    {"abc,def==", 0, "", 0, AUTH_MISSING},
    {"abc,def==", 0, NULL, 0, AUTH_MISSING},
    {NULL, 0, NULL, 0, AUTH_NO_TOKEN_SET},
    {NULL, 0, "Bearer ", 0, AUTH_NO_TOKEN_SET},
    {NULL, 0, "Bearer abc", CONFIG_OPEN_STATS, AUTH_NO_TOKEN_SET},
    {NULL, CONFIG_OPEN_STATS, NULL, CONFIG_OPEN_STATS, AUTH_GRANTED},
    {NULL, CONFIG_OPEN_STATS, NULL, CONFIG_OPEN_METRICS, AUTH_NO_TOKEN_SET},
    {NULL, CONFIG_OPEN_STATS, NULL, 0, AUTH_NO_TOKEN_SET},
    {"abc", CONFIG_OPEN_STATS | CONFIG_OPEN_UPLOAD, NULL, CONFIG_OPEN_UPLOAD, AUTH_GRANTED},
    {"abc", CONFIG_OPEN_STATS | CONFIG_OPEN_UPLOAD, "Bearer wrong", CONFIG_OPEN_UPLOAD, AUTH_GRANTED},
    {"abc", CONFIG_OPEN_STATS | CONFIG_OPEN_UPLOAD, NULL, CONFIG_OPEN_METRICS, AUTH_MISSING},
    {"abc", CONFIG_OPEN_STATS | CONFIG_OPEN_UPLOAD, NULL, 0, AUTH_MISSING},
    {"abc", CONFIG_OPEN_STATS, "Bearer abc", 0, AUTH_GRANTED},
};

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        struct auth *auth;
        const struct config config = {.api_token = cases[i].tokens, .open_routes = cases[i].open_routes};
        assert_int_equal(auth_open(&auth, &config, NULL), 0);
        enum auth_answer answer = auth_check(auth, cases[i].authorization, cases[i].open);
        if (answer != cases[i].answer)
            fail_msg("case %zu: %s: %d", i, cases[i].authorization, (int)answer);
        auth_close(auth);
    }
    auth_close(NULL);
}

static void test_refusal(void **state)
{
    (void)state;
    static const int statuses[] = {
        [AUTH_GRANTED] = 200,   [AUTH_NO_TOKEN_SET] = 503, [AUTH_MISSING] = 401,
        [AUTH_MALFORMED] = 400, [AUTH_WRONG] = 401,
    };
    for (size_t i = 0; i < LEN(statuses); i++) {
        struct auth_refusal refusal = auth_refusal((enum auth_answer)i);
        assert_int_equal(refusal.status, statuses[i]);
        assert_int_equal(refusal.challenge != NULL, statuses[i] == 401 || statuses[i] == 400);
        assert_int_equal(*refusal.detail != '\0', i != AUTH_GRANTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
