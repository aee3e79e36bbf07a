/* What a flush waits for, among files that change again and again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch/pending.h"

static const struct image_key key = {"media", "a.jpg"};

static int setup(void **state)
{
    *state = pending_new(100);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    pending_free(*state);
    return 0;
}

static struct pending_file *take(struct pending *p)
{
    struct pending_file *file;
    assert_int_equal(pending_take(p, &file, 1, 1), 1);
    return file;
}

/* Whether a flush with this mark would end now. */
static int is_over(struct pending *p, uint64_t mark)
{
    return pending_wait(p, mark, 0) == 0;
}

static void test_what_is_noted_is_waited_for(void **state)
{
    struct pending *p = *state;
    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    uint64_t mark = pending_mark(p);
    assert_false(is_over(p, mark));
    pending_finish(p, take(p), PENDING_STORED, NULL);
    assert_true(is_over(p, mark));
}

static void test_a_change_while_it_is_taken_is_waited_for_as_well(void **state)
{
    struct pending *p = *state;
    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    struct pending_file *file = take(p);
    assert_int_equal(pending_note(p, &key, 2, 0), 0);
    uint64_t mark = pending_mark(p);
    assert_int_equal(pending_note(p, &key, 3, 0), 0);
    pending_finish(p, file, PENDING_STORED, NULL);
    assert_false(is_over(p, mark));
    pending_finish(p, take(p), PENDING_STORED, NULL);
    assert_true(is_over(p, mark));
}

static void test_a_file_that_changes_on_and_on_does_not_hold_up_a_flush_for_ever(void **state)
{
    struct pending *p = *state;
    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    uint64_t mark = pending_mark(p);
    struct pending_file *file = take(p);
    assert_int_equal(pending_note(p, &key, 2, 0), 0);
    pending_finish(p, file, PENDING_STORED, NULL);
    assert_true(is_over(p, mark));
}

static void test_a_change_while_it_waits_does_not_let_a_flush_go(void **state)
{
    struct pending *p = *state;
    const struct pending_stamp stamp = {.size = 1};
    assert_int_equal(pending_found(p, &key, &stamp, 0), 1);
    uint64_t mark = pending_mark(p);
    assert_int_equal(pending_note(p, &key, 2, 0), 0);
    assert_false(is_over(p, mark));
    pending_finish(p, take(p), PENDING_STORED, NULL);
    assert_true(is_over(p, mark));
}

/* Somebody may still be writing it, until its close is told or a flush can wait no longer. */
static void test_a_file_stays_unclosed_until_that_is_told(void **state)
{
    struct pending *p = *state;
    assert_int_equal(pending_note_unclosed(p, &key, 1, 1), 0);
    struct pending_file *file = take(p);
    assert_true(file->unclosed);
    pending_finish(p, file, PENDING_RETRY, &(struct error){.code = -EBUSY});
    assert_int_equal(pending_note(p, &key, 2, 0), 0);
    file = take(p);
    assert_false(file->unclosed);
    pending_finish(p, file, PENDING_STORED, NULL);

    assert_int_equal(pending_note_unclosed(p, &key, 1, 60000), 0);
    (void)pending_mark(p);
    assert_false(take(p)->unclosed);
}

/* What a second look found changed is waiting again, and counted as that. */
static void test_a_file_that_changed_before_its_second_look_waits_again(void **state)
{
    struct pending *p = *state;
    struct pending_count count;
    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    pending_finish(p, take(p), PENDING_CHECK, NULL);
    pending_count(p, &count);
    assert_int_equal(count.waiting, 0);

    struct pending_file *file = take(p);
    assert_true(file->check);
    pending_finish(p, file, PENDING_RETRY, NULL);
    pending_count(p, &count);
    assert_int_equal(count.waiting, 1);
    assert_false(take(p)->check);
}

/* The watcher skips what it has put on disk itself, by its event. A scan that came upon it has seen another row. */
static void test_what_waits_already_when_a_scan_finds_it_is_compared_with_its_row(void **state)
{
    struct pending *p = *state;
    const struct pending_stamp stamp = {.size = 1};
    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    assert_int_equal(pending_found(p, &key, &stamp, 0), 0);
    struct pending_file *file = take(p);
    assert_true(file->found);

    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    assert_int_equal(pending_found(p, &key, &stamp, 0), 0);
    assert_int_equal(pending_note(p, &key, 1, 0), 0);
    pending_finish(p, file, PENDING_RETRY, NULL);
    assert_true(take(p)->found);
}

static void test_what_is_taken_while_a_scan_finds_it_is_compared_with_its_row(void **state)
{
    struct pending *p = *state;
    const struct pending_stamp stamp = {.size = 1};
    static const enum pending_end ends[] = {PENDING_NOTHING, PENDING_RETRY};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pending_note(p, &key, 1, 0), 0);
        struct pending_file *file = take(p);
        assert_false(file->found);
        assert_int_equal(pending_found(p, &key, &stamp, 0), 0);
        pending_finish(p, file, ends[i], NULL);
        file = take(p);
        assert_true(file->found);
        assert_int_equal(pending_note(p, &key, 1, 0), 0);
        pending_finish(p, file, PENDING_NOTHING, NULL);
        file = take(p);
        assert_false(file->found);
        pending_finish(p, file, PENDING_NOTHING, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_noted_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_change_while_it_is_taken_is_waited_for_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_changes_on_and_on_does_not_hold_up_a_flush_for_ever, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_change_while_it_waits_does_not_let_a_flush_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_stays_unclosed_until_that_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_changed_before_its_second_look_waits_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_waits_already_when_a_scan_finds_it_is_compared_with_its_row, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_taken_while_a_scan_finds_it_is_compared_with_its_row, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
