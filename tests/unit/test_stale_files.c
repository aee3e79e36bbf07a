#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "image/stale_files.h"

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
    *state = stale_files_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    stale_files_free(*state);
    return 0;
}

static void test_a_mark_is_of_one_file(void **state)
{
    struct stale_files *t = *state;
    const struct stat other = other_file();
    assert_false(stale_files_is(t, &a, &old_file));
    assert_int_equal(stale_files_mark(t, &a, &old_file, STALE_REPLACE), 0);
    assert_true(stale_files_is(t, &a, &old_file));
    assert_false(stale_files_is(t, &a, &other));
    assert_false(stale_files_is(t, &b, &old_file));
    stale_files_clear(t, &a);
    assert_false(stale_files_is(t, &a, &old_file));
    assert_int_equal(stale_files_count(t), 0);
}

static void test_what_is_settled_is_gone(void **state)
{
    struct stale_files *t = *state;
    struct stale_file files[4];
    assert_int_equal(stale_files_mark(t, &a, &old_file, STALE_REPLACE), 0);
    assert_int_equal(stale_files_mark(t, &b, &old_file, STALE_REMOVE), 0);
    assert_int_equal(stale_files_take(t, files, 4), 2);
    assert_string_equal(files[0].key.path, "a.png");
    assert_int_equal(files[1].remedy, STALE_REMOVE);
    assert_int_equal(stale_files_take(t, files + 2, 2), 0);

    stale_files_settle(t, &files[0], 0);
    assert_false(stale_files_is(t, &a, &old_file));
    stale_files_settle(t, &files[1], 60000);
    assert_true(stale_files_is(t, &b, &old_file));
    assert_int_equal(stale_files_take(t, files, 4), 0); /* not due yet */
}

static void test_what_is_marked_anew_is_taken_anew(void **state)
{
    struct stale_files *t = *state;
    struct stale_file file;
    assert_int_equal(stale_files_mark(t, &a, &old_file, STALE_REPLACE), 0);
    assert_int_equal(stale_files_take(t, &file, 1), 1);
    assert_int_equal(stale_files_mark(t, &a, &old_file, STALE_REMOVE), 0);
    stale_files_settle(t, &file, 0);
    assert_true(stale_files_is(t, &a, &old_file));
    assert_int_equal(stale_files_take(t, &file, 1), 1);
    assert_int_equal(file.remedy, STALE_REMOVE);

    stale_files_clear(t, &a); /* while it is taken: its key stays valid */
    assert_false(stale_files_is(t, &a, &old_file));
    assert_string_equal(file.key.path, "a.png");
    stale_files_settle(t, &file, 60000);
    assert_int_equal(stale_files_count(t), 0);
}

static void test_the_table_is_bounded(void **state)
{
    struct stale_files *t = *state;
    char path[32];
    for (int i = 0; i < STALE_FILES_MAX; i++) {
        snprintf(path, sizeof path, "%d.png", i);
        assert_int_equal(stale_files_mark(t, &(struct image_key){"media", path}, &old_file, STALE_REPLACE), 0);
    }
    assert_int_equal(stale_files_mark(t, &a, &old_file, STALE_REPLACE), -ENOSPC);
    assert_int_equal(stale_files_mark(t, &(struct image_key){"media", path}, &old_file, STALE_REPLACE), 0);
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
