#include "http/conditional.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

#define ETAG   "\"abc\""
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define SAME   "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct conditional_current stored = {ETAG, 784111777}, nothing = {NULL, 0};

/* What reads, writes and writes of what is not stored are answered. */
static const struct {
    struct conditional_fields fields;
    int read, write, create;
} cases[] = {
    {{.if_match = NULL}, 0, 0, 0},
    /* If-Match: strong. */
    {{.if_match = ETAG}, 0, 0, 412},
    {{.if_match = "\"x\", " ETAG}, 0, 0, 412},
    {{.if_match = "\"x\"," ETAG ",\"y\""}, 0, 0, 412},
    {{.if_match = ", ,\t" ETAG " ,,"}, 0, 0, 412},
    {{.if_match = "\"a,b\"," ETAG}, 0, 0, 412},
    {{.if_match = "W/" ETAG}, 412, 412, 412},
    {{.if_match = "W/" ETAG ", " ETAG}, 0, 0, 412},
    {{.if_match = "\"x\""}, 412, 412, 412},
    {{.if_match = "\"\""}, 412, 412, 412},
    {{.if_match = "\"ab\""}, 412, 412, 412},
    {{.if_match = "\"abcd\""}, 412, 412, 412},
    {{.if_match = "\"ABC\""}, 412, 412, 412},
    {{.if_match = "*"}, 0, 0, 412},
    {{.if_match = " * "}, 0, 0, 412},
    {{.if_match = ""}, 412, 400, 400},
    {{.if_match = ","}, 412, 400, 400},
    {{.if_match = "abc"}, 412, 400, 400},
    {{.if_match = "\"abc"}, 412, 400, 400},
    {{.if_match = "\"a bc\""}, 412, 400, 400},
    {{.if_match = ETAG ETAG}, 412, 400, 400},
    {{.if_match = ETAG " \"x\""}, 412, 400, 400},
    {{.if_match = ETAG ", x"}, 412, 400, 400},
    {{.if_match = "*, " ETAG}, 412, 400, 400},
    {{.if_match = ETAG ", *"}, 412, 400, 400},
    {{.if_match = "w/" ETAG}, 412, 400, 400},
    {{.if_match = "W/"}, 412, 400, 400},
    /* If-None-Match: weak. */
    {{.if_none_match = ETAG}, 304, 412, 0},
    {{.if_none_match = "W/" ETAG}, 304, 412, 0},
    {{.if_none_match = "\"x\", W/\"y\", W/" ETAG}, 304, 412, 0},
    {{.if_none_match = "\"\xe9\", " ETAG}, 304, 412, 0},
    {{.if_none_match = "\"x\""}, 0, 0, 0},
    {{.if_none_match = "*"}, 304, 412, 0},
    {{.if_none_match = "abc"}, 0, 400, 400},
    {{.if_none_match = ETAG ", abc"}, 0, 400, 400},
    {{.if_none_match = "**"}, 0, 400, 400},
    {{.if_none_match = "\"abc\x7f\""}, 0, 400, 400},
    /* Dates. */
    {{.if_modified_since = BEFORE}, 0, 0, 0},
    {{.if_modified_since = SAME}, 304, 0, 0},
    {{.if_modified_since = AFTER}, 304, 0, 0},
    {{.if_modified_since = "Sunday, 06-Nov-94 08:49:37 GMT"}, 304, 0, 0},
    {{.if_modified_since = "Sun Nov  6 08:49:37 1994"}, 304, 0, 0},
    {{.if_modified_since = "yesterday"}, 0, 0, 0},
    {{.if_modified_since = ""}, 0, 0, 0},
    {{.if_unmodified_since = BEFORE}, 412, 412, 0},
    {{.if_unmodified_since = SAME}, 0, 0, 0},
    {{.if_unmodified_since = AFTER}, 0, 0, 0},
    {{.if_unmodified_since = "yesterday"}, 0, 0, 0},
    /* Which one counts. */
    {{.if_match = ETAG, .if_unmodified_since = BEFORE}, 0, 0, 412},
    {{.if_match = "\"x\"", .if_unmodified_since = AFTER}, 412, 412, 412},
    {{.if_match = ETAG, .if_none_match = ETAG}, 304, 412, 412},
    {{.if_match = "\"x\"", .if_none_match = ETAG}, 412, 412, 412},
    {{.if_match = ETAG, .if_none_match = "\"x\""}, 0, 0, 412},
    {{.if_match = ETAG, .if_modified_since = SAME}, 304, 0, 412},
    {{.if_none_match = "\"x\"", .if_modified_since = AFTER}, 0, 0, 0},
    {{.if_none_match = "x", .if_modified_since = AFTER}, 0, 400, 400},
    {{.if_none_match = ETAG, .if_modified_since = BEFORE}, 304, 412, 0},
    {{.if_unmodified_since = AFTER, .if_none_match = ETAG}, 304, 412, 0},
    {{.if_unmodified_since = BEFORE, .if_none_match = "\"x\""}, 412, 412, 0},
    {{.if_unmodified_since = SAME, .if_modified_since = SAME}, 304, 0, 0},
};

static void expect(size_t i, enum conditional_method method, const struct conditional_current *now, int want)
{
    enum conditional_answer answer = conditional_check(method, &cases[i].fields, now);
    if ((int)answer != want)
        fail_msg("case %zu: %s of %s: %d", i, method == CONDITIONAL_READ ? "read" : "write",
                 now->etag ? now->etag : "nothing", (int)answer);
}

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        expect(i, CONDITIONAL_READ, &stored, cases[i].read);
        expect(i, CONDITIONAL_WRITE, &stored, cases[i].write);
        expect(i, CONDITIONAL_WRITE, &nothing, cases[i].create);
    }
}

static void test_etag(void **state)
{
    (void)state;
    unsigned char sha256[DIGEST_SHA256_LEN];
    char etag[CONDITIONAL_ETAG_SIZE];
    for (size_t i = 0; i < sizeof sha256; i++)
        sha256[i] = (unsigned char)(i * 8);
    conditional_etag(etag, sha256);
    assert_string_equal(etag, "\"0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8\"");
    const struct conditional_fields fields = {.if_none_match = etag};
    const struct conditional_current now = {etag, 0};
    assert_int_equal(conditional_check(CONDITIONAL_READ, &fields, &now), CONDITIONAL_NOT_MODIFIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_etag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
