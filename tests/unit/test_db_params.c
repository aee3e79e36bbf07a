/* Values as PostgreSQL's binary receive functions want them; the integration tests show that it takes them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/db.h"

static void test_scalars(void **state)
{
    (void)state;
    struct db_params p;
    db_params_init(&p);
    db_param_text(&p, "abc");
    db_param_text(&p, NULL);
    db_param_int(&p, -2);
    db_param_time(&p, INT64_C(946684800000001)); /* 2000-01-01 and a microsecond */
    assert_int_equal(p.count, 4);
    assert_int_equal(p.lengths[0], 3);
    assert_memory_equal(p.values[0], "abc", 3);
    assert_null(p.values[1]);
    assert_memory_equal(p.values[2], "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
    assert_memory_equal(p.values[3], "\0\0\0\0\0\0\0\1", 8);
    for (int i = 0; i < p.count; i++)
        assert_int_equal(p.formats[i], 1);
}

static void test_array_of_texts(void **state)
{
    (void)state;
    static const char expected[] = "\0\0\0\1"         /* dimensions */
                                   "\0\0\0\1"         /* there are nulls */
                                   "\0\0\0\x19"       /* text */
                                   "\0\0\0\3\0\0\0\1" /* three, from 1 */
                                   "\0\0\0\2hi"
                                   "\xff\xff\xff\xff"
                                   "\0\0\0\0";
    struct db_params p;
    struct db_array a;
    db_array_init(&a, DB_TEXT, 1000);
    assert_int_equal(db_array_add_text(&a, "hi"), 0);
    assert_int_equal(db_array_add_text(&a, NULL), 0);
    assert_int_equal(db_array_add_text(&a, ""), 0);
    db_params_init(&p);
    db_param_array(&p, &a);
    assert_int_equal(p.lengths[0], sizeof expected - 1);
    assert_memory_equal(p.values[0], expected, sizeof expected - 1);
    db_array_release(&a);
}

static void test_array_is_bounded_and_keeps_what_it_holds(void **state)
{
    (void)state;
    struct db_array a;
    char *at;
    db_array_init(&a, DB_BYTEA, 20);
    assert_int_equal(db_array_reserve(&a, 16, &at), 0);
    memset(at, 'x', 16);
    assert_int_equal(db_array_add(&a, "y", 1), -EMSGSIZE);
    assert_int_equal(a.count, 1);
    db_array_reset(&a);
    assert_int_equal(db_array_add(&a, "y", 1), 0);
    db_array_release(&a);
}

static void test_copy_one_element(void **state)
{
    (void)state;
    static const char *const words[] = {"one", NULL, "", "four"};
    struct db_array from, to;
    db_array_init(&from, DB_TEXT, 1000);
    db_array_init(&to, DB_TEXT, 1000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(db_array_add_text(&from, words[i]), 0);
    for (int i = 0; i < 4; i++) {
        struct db_array alone;
        struct db_params p, q;
        db_array_init(&alone, DB_TEXT, 1000);
        assert_int_equal(db_array_add_text(&alone, words[i]), 0);
        db_array_reset(&to);
        assert_int_equal(db_array_copy(&to, &from, i), 0);
        db_params_init(&p);
        db_params_init(&q);
        db_param_array(&p, &alone);
        db_param_array(&q, &to);
        assert_int_equal(p.lengths[0], q.lengths[0]);
        assert_memory_equal(p.values[0], q.values[0], (size_t)p.lengths[0]);
        db_array_release(&alone);
    }
    db_array_release(&from);
    db_array_release(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_array_of_texts),
        cmocka_unit_test(test_array_is_bounded_and_keeps_what_it_holds),
        cmocka_unit_test(test_copy_one_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
