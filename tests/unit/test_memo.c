/* What an instance remembers of its reads: what was looked up before a change must not be remembered after it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/memo.h"

static const struct image_key a = {"media", "a.png"}, b = {"media", "b.png"}, other = {"other", "a.png"};

static int setup(void **state)
{
    *state = memo_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    memo_free(*state);
    return 0;
}

static struct image *image_of(const struct image_key *key)
{
    struct image *image = image_new(&(struct image_meta){.key = *key, .mime = "image/png", .size = 3});
    assert_non_null(image);
    return image;
}

/* Forgotten between the question and its answer: by key, by pattern, or not. */
static void test_an_answer_older_than_a_change_is_not_remembered(void **state)
{
    static const struct {
        const char *pattern; /* NULL: by key */
        const struct image_key *key;
        int forgets, remembered;
    } cases[] = {
        {NULL, &a, 0, 1},  {NULL, &a, 1, 0},
        {NULL, &b, 1, 0}, /* whatever was changed: versions are of all */
        {"*", NULL, 1, 0}, {"image:path:other:*", NULL, 1, 0},
    };
    struct memo *m = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t version = memo_version(m);
        if (cases[i].forgets && cases[i].key)
            (void)memo_forget(m, cases[i].key);
        else if (cases[i].forgets)
            (void)memo_forget_matching(m, cases[i].pattern);
        memo_add_absent(m, &a, version);
        assert_int_equal(memo_is_absent(m, &a), cases[i].remembered);
        (void)memo_forget(m, &a);
        assert_false(memo_is_absent(m, &a));
    }
}

static void test_absent_and_useless_are_told_apart(void **state)
{
    struct memo *m = *state;
    memo_add_absent(m, &a, memo_version(m));
    memo_add_useless(m, &b, -EHOSTDOWN, memo_version(m));
    assert_int_equal(memo_is_useless(m, &a), -ENOENT);
    assert_int_equal(memo_is_useless(m, &b), -EHOSTDOWN);
    assert_false(memo_is_absent(m, &b));
    assert_int_equal(memo_is_useless(m, &other), 0);
    assert_int_equal(memo_forget_matching(m, "image:path:media:b*"), 1);
    assert_int_equal(memo_is_useless(m, &b), 0);
    assert_true(memo_is_absent(m, &a));
}

static void test_an_image_is_at_hand_until_its_file_is_written(void **state)
{
    struct memo *m = *state;
    struct image *image = image_of(&a), *found;
    struct filling *filling = memo_add_filling(m, image, memo_version(m));
    assert_non_null(filling);
    found = memo_find_filling(m, &a);
    assert_ptr_equal(found, image);
    image_unref(found);
    assert_null(memo_find_filling(m, &b));
    memo_filled(filling);
    assert_null(memo_find_filling(m, &a));
    image_unref(image);
}

static void test_an_image_that_changed_is_not_at_hand(void **state)
{
    struct memo *m = *state;
    struct image *image = image_of(&a);
    uint64_t version = memo_version(m);
    struct filling *first = memo_add_filling(m, image, version);
    assert_int_equal(memo_forget(m, &a), 1); /* while its file is written */
    assert_null(memo_find_filling(m, &a));
    struct filling *late = memo_add_filling(m, image, version); /* read before the change, told behind it */
    assert_null(memo_find_filling(m, &a));
    struct filling *fresh = memo_add_filling(m, image, memo_version(m));
    struct image *found = memo_find_filling(m, &a);
    assert_ptr_equal(found, image);
    image_unref(found);
    memo_filled(first); /* the end of another one takes nothing away */
    memo_filled(late);
    found = memo_find_filling(m, &a);
    assert_ptr_equal(found, image);
    image_unref(found);
    memo_filled(fresh);
    image_unref(image);
}

static void test_the_image_of_an_entity_until_anything_changes(void **state)
{
    static const struct memo_entity entity = {"artist", "7", "cover"}, alike = {"artist", "7c", "over"};
    struct memo *m = *state;
    char name[IMAGE_NAME_SIZE];
    memo_add_entity(m, &entity, &a, memo_version(m));
    assert_int_equal(memo_find_entity(m, &alike, name), -ENOENT);
    assert_int_equal(memo_find_entity(m, &entity, name), 0);
    assert_string_equal(image_key_named(name).path, "a.png");
    (void)memo_forget(m, &b); /* it may be the entity's next one */
    assert_int_equal(memo_find_entity(m, &entity, name), -ENOENT);
}

static void test_own_writes_are_known_by_their_content(void **state)
{
    struct memo *m = *state;
    struct image_meta row = {.key = a, .size = 3, .sha256 = {1}}, changed = row, trashed = row, assigned = row;
    changed.sha256[0] = 2;
    trashed.deleted_us = 5;
    assigned.content_type = "artist";
    assigned.object_id = "7";
    assigned.variant = "cover";
    memo_add_own(m, &row, MEMO_OWN_FILE);
    const struct {
        const struct image_meta *row;
        enum memo_own own;
        int is_row;
    } cases[] = {
        {&row, MEMO_OWN_FILE, 1},
        {&changed, MEMO_NOT_OWN, 0},
        {&trashed, MEMO_NOT_OWN, 0},
        {&assigned, MEMO_OWN_FILE, 0}, /* the content is ours, its entity was given by somebody else */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(memo_is_own(m, cases[i].row), cases[i].own);
        assert_int_equal(memo_is_own_row(m, cases[i].row), cases[i].is_row);
    }
    memo_drop_own(m, &a);
    assert_int_equal(memo_is_own(m, &row), MEMO_NOT_OWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_answer_older_than_a_change_is_not_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent_and_useless_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_image_is_at_hand_until_its_file_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_image_that_changed_is_not_at_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_image_of_an_entity_until_anything_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_writes_are_known_by_their_content, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
