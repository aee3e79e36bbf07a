#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/ttl_map.h"

#define HOUR_MS 3600000

static void put(struct ttl_map *r, const char *name, int value)
{
    ttl_map_put(r, name, (unsigned)strlen(name) + 1, &value, sizeof value);
}

/* -1: it is not there. */
static int get(struct ttl_map *r, const char *name)
{
    int value;
    return ttl_map_get(r, name, (unsigned)strlen(name) + 1, &value, sizeof value) ? value : -1;
}

static void the_last_value_counts(void **state)
{
    (void)state;
    struct ttl_map r = {.max = 10, .for_ms = HOUR_MS};
    assert_int_equal(get(&r, "a"), -1);
    put(&r, "a", 1);
    put(&r, "ab", 2);
    put(&r, "a", 3);
    assert_int_equal(get(&r, "a"), 3);
    assert_int_equal(get(&r, "ab"), 2);
    assert_true(ttl_map_drop(&r, "a", 2));
    assert_false(ttl_map_drop(&r, "a", 2));
    assert_int_equal(get(&r, "a"), -1);
    assert_int_equal(get(&r, "ab"), 2);
    ttl_map_clear(&r);
    assert_int_equal(get(&r, "ab"), -1);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct ttl_map r = {.max = 3, .for_ms = HOUR_MS};
    char name[2] = "a";
    for (; *name < 'e'; ++*name) {
        put(&r, "again", 0); /* put anew each time, it is never the oldest */
        put(&r, name, *name);
    }
    assert_int_equal(get(&r, "a"), -1);
    assert_int_equal(get(&r, "b"), -1);
    assert_int_equal(get(&r, "c"), 'c');
    assert_int_equal(get(&r, "d"), 'd');
    assert_int_equal(get(&r, "again"), 0);
    ttl_map_clear(&r);
}

static void it_is_over_after_its_time(void **state)
{
    (void)state;
    struct ttl_map r = {.max = 3, .for_ms = -1};
    put(&r, "a", 1);
    assert_int_equal(get(&r, "a"), -1);
    r.for_ms = HOUR_MS;
    put(&r, "a", 2);
    assert_int_equal(get(&r, "a"), 2);
    ttl_map_clear(&r);
}

static void a_value_may_be_empty_or_larger_than_asked_for(void **state)
{
    (void)state;
    struct ttl_map r = {.max = 3, .for_ms = HOUR_MS};
    char two[2];
    ttl_map_put(&r, "a", 2, NULL, 0);
    assert_true(ttl_map_get(&r, "a", 2, NULL, 0));
    ttl_map_put(&r, "a", 2, "xyz", 3);
    assert_true(ttl_map_get(&r, "a", 2, two, sizeof two));
    assert_memory_equal(two, "xy", 2);
    ttl_map_clear(&r);
}

static int begins_with(const char *name, const char *pattern)
{
    return strncmp(name, pattern, strlen(pattern)) == 0;
}

static void what_is_meant_is_dropped(void **state)
{
    (void)state;
    struct ttl_map r = {.max = 10, .for_ms = HOUR_MS};
    put(&r, "a1", 1);
    put(&r, "b1", 2);
    put(&r, "a2", 3);
    assert_int_equal(ttl_map_drop_meant(&r, begins_with, "a"), 2);
    assert_int_equal(get(&r, "a1"), -1);
    assert_int_equal(get(&r, "b1"), 2);
    assert_int_equal(ttl_map_drop_meant(&r, begins_with, ""), 1);
    assert_int_equal(ttl_map_drop_meant(&r, begins_with, ""), 0);
    ttl_map_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_value_counts),     cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(it_is_over_after_its_time), cmocka_unit_test(a_value_may_be_empty_or_larger_than_asked_for),
        cmocka_unit_test(what_is_meant_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
