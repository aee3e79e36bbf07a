/* What a migration's file says of itself, and which program is older than which. */
#include "base/version.h"
#include "migrate/migration_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_version_compare(void **state)
{
    static const struct {
        const char *a, *b;
        int sign;
    } cases[] = {
        {"0.1.0", "0.1.0", 0},
        {"0.1.0", "0.2.0", -1},
        {"0.10.0", "0.9.9", 1},
        {"1", "1.0.0", 0},
        {"1.0.1", "1", 1},
        {"0.2.0-rc1", "0.2", 0},
        {"0.2.0+git", "0.3", -1},
        {"10.0", "9.99.99", 1},
        {"0.2.0", "a new form", -1},
        {"", "0.2.0", 1},
        {"", "", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int r = version_compare(cases[i].a, cases[i].b), reversed = version_compare(cases[i].b, cases[i].a);
        assert_int_equal((r > 0) - (r < 0), cases[i].sign);
        assert_int_equal((reversed > 0) - (reversed < 0), -cases[i].sign);
    }
}

static void test_concurrent(void **state)
{
    (void)state;
    assert_true(migration_text_is_concurrent("-- no transaction\nCREATE INDEX ..."));
    assert_false(migration_text_is_concurrent("-- Holds no transaction\n"));
    assert_false(migration_text_is_concurrent("-- A\n-- no transaction\n"));
    assert_false(migration_text_is_concurrent(""));
}

static void test_compatible_from(void **state)
{
    char word[MIGRATION_WORD_SIZE] = "untouched";
    (void)state;
    assert_false(migration_text_compatible_from("CREATE TABLE a ();\n-- compatible from 0.3.0\n", word));
    assert_false(migration_text_compatible_from("-- It is compatible from 0.3.0 on\n", word));
    assert_false(migration_text_compatible_from("-- compatible from \n", word));
    assert_false(migration_text_compatible_from("", word));
    assert_string_equal(word, "untouched");
    assert_true(migration_text_compatible_from("-- Other rows.\n-- compatible from 0.3.0\nCREATE ...", word));
    assert_string_equal(word, "0.3.0");
    assert_true(migration_text_compatible_from("-- compatible from 12.4", word));
    assert_string_equal(word, "12.4");
}

static void test_index(void **state)
{
    char word[MIGRATION_WORD_SIZE] = "untouched";
    (void)state;
    assert_false(migration_text_index("-- no transaction\nDROP INDEX CONCURRENTLY IF EXISTS a;", word));
    assert_string_equal(word, "untouched");
    assert_true(migration_text_index("-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON c (d);", word));
    assert_string_equal(word, "a_b");
    assert_true(migration_text_index("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS u\nON c (d);", word));
    assert_string_equal(word, "u");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_compare),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_compatible_from),
        cmocka_unit_test(test_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
