#include "http/problem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    int status;
    const char *detail, *body;
} cases[] = {
    {404, "No image of that name is stored.",
     "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
     "\"detail\":\"No image of that name is stored.\"}"},
    {413, NULL, "{\"type\":\"about:blank\",\"title\":\"Content Too Large\",\"status\":413}"},
    {400, "\"a\\b\"\n\xff</script>",
     "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
     "\"detail\":\"\\\"a\\\\b\\\"\\\\n\\\\xff</script>\"}"},
    {503, "caf\xc3\xa9",
     "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"caf\xc3\xa9\"}"},
    {599, NULL, "{\"type\":\"about:blank\",\"title\":\"Server Error\",\"status\":599}"},
    {418, NULL, "{\"type\":\"about:blank\",\"title\":\"Client Error\",\"status\":418}"},
};

static void test_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        struct buf out;
        buf_init(&out, PROBLEM_MAX_BYTES);
        assert_int_equal(problem_body(&out, cases[i].status, cases[i].detail), 0);
        assert_string_equal(out.data, cases[i].body);
        assert_int_equal(out.len, strlen(cases[i].body));
        buf_release(&out);
    }
}

static void test_limits(void **state)
{
    (void)state;
    char detail[20000];
    struct buf out;
    static const char fill[] = {'x', '"', '\n', '\x01', '\xff'}; /* the last ones take most room */
    for (size_t i = 0; i < sizeof fill; i++) {
        memset(detail, fill[i], sizeof detail - 1);
        detail[sizeof detail - 1] = '\0';
        buf_init(&out, PROBLEM_MAX_BYTES);
        assert_int_equal(problem_body(&out, 500, detail), 0);
        json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        assert_int_equal(json_integer_value(json_object_get(json, "status")), 500);
        json_decref(json);
        buf_release(&out);
    }
    buf_init(&out, 40);
    assert_int_equal(buf_addstr(&out, "kept"), 0);
    assert_int_equal(problem_body(&out, 500, "detail"), -EMSGSIZE);
    assert_string_equal(out.data, "kept");
    assert_int_equal(out.len, 4);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
