#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tier/tier_disk_stale.h"

static const struct image_key a = {"media", "a.png"}, b = {"media", "b.png"};
static const struct stat old_file = {.st_dev = 1, .st_ino = 2, .st_size = 3, .st_mtim = {4, 5}};

static struct stat other_file(void)
{
    struct stat st = old_file;
    st.st_mtim.tv_nsec++;
    return st;
}

static int setup(void **state)
{
    *state = tier_disk_stale_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    tier_disk_stale_free(*state);
    return 0;
}

static void test_a_mark_is_of_one_file(void **state)
{
    struct tier_disk_stale *t = *state;
    const struct stat other = other_file();
    assert_false(tier_disk_stale_is(t, &a, &old_file));
    assert_int_equal(tier_disk_stale_mark(t, &a, &old_file, TIER_DISK_REPLACE), 0);
    assert_true(tier_disk_stale_is(t, &a, &old_file));
    assert_false(tier_disk_stale_is(t, &a, &other));
    assert_false(tier_disk_stale_is(t, &b, &old_file));
    tier_disk_stale_clear(t, &a);
    assert_false(tier_disk_stale_is(t, &a, &old_file));
    assert_int_equal(tier_disk_stale_count(t), 0);
}

static void test_what_is_settled_is_gone(void **state)
{
    struct tier_disk_stale *t = *state;
    struct tier_disk_stale_file files[4];
    assert_int_equal(tier_disk_stale_mark(t, &a, &old_file, TIER_DISK_REPLACE), 0);
    assert_int_equal(tier_disk_stale_mark(t, &b, &old_file, TIER_DISK_REMOVE), 0);
    assert_int_equal(tier_disk_stale_take(t, files, 4), 2);
    assert_string_equal(files[0].key.path, "a.png");
    assert_int_equal(files[1].remedy, TIER_DISK_REMOVE);
    assert_int_equal(tier_disk_stale_take(t, files + 2, 2), 0);

    tier_disk_stale_settle(t, &files[0], 0);
    assert_false(tier_disk_stale_is(t, &a, &old_file));
    tier_disk_stale_settle(t, &files[1], 60000);
    assert_true(tier_disk_stale_is(t, &b, &old_file));
    assert_int_equal(tier_disk_stale_take(t, files, 4), 0); /* not due yet */
}

static void test_what_is_marked_anew_is_taken_anew(void **state)
{
    struct tier_disk_stale *t = *state;
    struct tier_disk_stale_file file;
    assert_int_equal(tier_disk_stale_mark(t, &a, &old_file, TIER_DISK_REPLACE), 0);
    assert_int_equal(tier_disk_stale_take(t, &file, 1), 1);
    assert_int_equal(tier_disk_stale_mark(t, &a, &old_file, TIER_DISK_REMOVE), 0);
    tier_disk_stale_settle(t, &file, 0);
    assert_true(tier_disk_stale_is(t, &a, &old_file));
    assert_int_equal(tier_disk_stale_take(t, &file, 1), 1);
    assert_int_equal(file.remedy, TIER_DISK_REMOVE);

    tier_disk_stale_clear(t, &a); /* while it is taken: its key stays valid */
    assert_false(tier_disk_stale_is(t, &a, &old_file));
    assert_string_equal(file.key.path, "a.png");
    tier_disk_stale_settle(t, &file, 60000);
    assert_int_equal(tier_disk_stale_count(t), 0);
}

static void test_the_table_is_bounded(void **state)
{
    struct tier_disk_stale *t = *state;
    char path[32];
    for (int i = 0; i < TIER_DISK_STALE_MAX; i++) {
        snprintf(path, sizeof path, "%d.png", i);
        assert_int_equal(tier_disk_stale_mark(t, &(struct image_key){"media", path}, &old_file, TIER_DISK_REPLACE), 0);
    }
    assert_int_equal(tier_disk_stale_mark(t, &a, &old_file, TIER_DISK_REPLACE), -ENOSPC);
    assert_int_equal(tier_disk_stale_mark(t, &(struct image_key){"media", path}, &old_file, TIER_DISK_REPLACE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_mark_is_of_one_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_settled_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_marked_anew_is_taken_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_table_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
