/* What an instance remembers of its reads: what was looked up before a change must not be remembered after it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/entity_cache.h"
#include "store/inflight.h"
#include "store/negcache.h"
#include "store/own_writes.h"

static const struct image_key a = {"media", "a.png"}, b = {"media", "b.png"}, other = {"other", "a.png"};

struct lookups {
    atomic_ullong forgets;
    struct negcache *negcache;
    struct inflight *inflight;
    struct entity_cache *entities;
    struct own_writes *own_writes;
};

static int setup(void **state)
{
    static struct lookups m;
    m.forgets = 0;
    m.negcache = negcache_new(&m.forgets);
    m.inflight = inflight_new(&m.forgets);
    m.entities = entity_cache_new(&m.forgets);
    m.own_writes = own_writes_new();
    *state = &m;
    return m.negcache && m.inflight && m.entities && m.own_writes ? 0 : -1;
}

static int teardown(void **state)
{
    struct lookups *m = *state;
    negcache_free(m->negcache);
    inflight_free(m->inflight);
    entity_cache_free(m->entities);
    own_writes_free(m->own_writes);
    return 0;
}

/* As the store does it. */
static int forget(struct lookups *m, const struct image_key *key)
{
    m->forgets++;
    return negcache_forget(m->negcache, key) + inflight_forget(m->inflight, key);
}

static int forget_matching(struct lookups *m, const char *pattern)
{
    m->forgets++;
    return negcache_forget_matching(m->negcache, pattern) + inflight_forget_matching(m->inflight, pattern);
}

static int is_absent(const struct lookups *m, const struct image_key *key)
{
    return negcache_find(m->negcache, key) == -ENOENT;
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
        {NULL, &b, 1, 0}, /* whatever was changed: the number is one of all */
        {"*", NULL, 1, 0}, {"image:path:other:*", NULL, 1, 0},
    };
    struct lookups *m = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t before = m->forgets;
        if (cases[i].forgets && cases[i].key)
            (void)forget(m, cases[i].key);
        else if (cases[i].forgets)
            (void)forget_matching(m, cases[i].pattern);
        negcache_add(m->negcache, &a, -ENOENT, before);
        assert_int_equal(is_absent(m, &a), cases[i].remembered);
        (void)forget(m, &a);
        assert_false(is_absent(m, &a));
    }
}

static void test_absent_and_useless_are_told_apart(void **state)
{
    struct lookups *m = *state;
    negcache_add(m->negcache, &a, -ENOENT, m->forgets);
    negcache_add(m->negcache, &b, -EHOSTDOWN, m->forgets);
    assert_int_equal(negcache_find(m->negcache, &a), -ENOENT);
    assert_int_equal(negcache_find(m->negcache, &b), -EHOSTDOWN);
    assert_false(is_absent(m, &b));
    assert_int_equal(negcache_find(m->negcache, &other), 0);
    assert_int_equal(forget_matching(m, "image:path:media:b*"), 1);
    assert_int_equal(negcache_find(m->negcache, &b), 0);
    assert_true(is_absent(m, &a));
}

static void test_an_image_is_at_hand_until_its_file_is_written(void **state)
{
    struct lookups *m = *state;
    struct image *image = image_of(&a), *found;
    struct inflight_image *one = inflight_begin(m->inflight, image, m->forgets);
    assert_non_null(one);
    found = inflight_find(m->inflight, &a);
    assert_ptr_equal(found, image);
    image_unref(found);
    assert_null(inflight_find(m->inflight, &b));
    inflight_end(one);
    assert_null(inflight_find(m->inflight, &a));
    image_unref(image);
}

static void test_an_image_that_changed_is_not_at_hand(void **state)
{
    struct lookups *m = *state;
    struct image *image = image_of(&a);
    uint64_t before = m->forgets;
    struct inflight_image *first = inflight_begin(m->inflight, image, before);
    assert_int_equal(forget(m, &a), 1); /* while its file is written */
    assert_null(inflight_find(m->inflight, &a));
    struct inflight_image *late =
        inflight_begin(m->inflight, image, before); /* read before the change, told behind it */
    assert_null(inflight_find(m->inflight, &a));
    struct inflight_image *fresh = inflight_begin(m->inflight, image, m->forgets);
    struct image *found = inflight_find(m->inflight, &a);
    assert_ptr_equal(found, image);
    image_unref(found);
    inflight_end(first); /* the end of another one takes nothing away */
    inflight_end(late);
    found = inflight_find(m->inflight, &a);
    assert_ptr_equal(found, image);
    image_unref(found);
    inflight_end(fresh);
    image_unref(image);
}

static void test_the_image_of_an_entity_until_anything_changes(void **state)
{
    static const struct entity entity = {"artist", "7", "cover"}, alike = {"artist", "7c", "over"};
    struct lookups *m = *state;
    char name[IMAGE_NAME_SIZE];
    entity_cache_add(m->entities, &entity, &a, m->forgets);
    assert_int_equal(entity_cache_find(m->entities, &alike, name), -ENOENT);
    assert_int_equal(entity_cache_find(m->entities, &entity, name), 0);
    assert_string_equal(image_key_named(name).path, "a.png");
    (void)forget(m, &b); /* it may be the entity's next one */
    assert_int_equal(entity_cache_find(m->entities, &entity, name), -ENOENT);
}

static void test_own_writes_are_known_by_their_content(void **state)
{
    struct lookups *m = *state;
    struct image_meta row = {.key = a, .size = 3, .sha256 = {1}}, changed = row, trashed = row, assigned = row;
    changed.sha256[0] = 2;
    trashed.deleted_us = 5;
    assigned.content_type = "artist";
    assigned.object_id = "7";
    assigned.variant = "cover";
    own_writes_add(m->own_writes, &row, OWN_WRITE_OF_FILE);
    const struct {
        const struct image_meta *row;
        enum own_write own;
        int is_row;
    } cases[] = {
        {&row, OWN_WRITE_OF_FILE, 1},
        {&changed, OWN_WRITE_NONE, 0},
        {&trashed, OWN_WRITE_NONE, 0},
        {&assigned, OWN_WRITE_OF_FILE, 0}, /* the content is ours, its entity was given by somebody else */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(own_writes_find(m->own_writes, cases[i].row), cases[i].own);
        assert_int_equal(own_writes_has_row(m->own_writes, cases[i].row), cases[i].is_row);
    }
    own_writes_drop(m->own_writes, &a);
    assert_int_equal(own_writes_find(m->own_writes, &row), OWN_WRITE_NONE);
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
