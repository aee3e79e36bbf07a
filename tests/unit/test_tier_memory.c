/* What stays at hand and what goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tier/tier_memory.h"

static const struct filestate some_state = {1, 2, 3, 4, 5};

static struct image *make(const char *path, size_t size)
{
    struct image_meta meta = {.key = {"media", path}, .mime = "image/png", .size = (int64_t)size};
    struct image *image = image_new(&meta);
    assert_non_null(image);
    memset(image->bytes, 'x', size);
    return image;
}

static void put(struct tier_memory *m, const char *path, size_t size)
{
    struct image *image = make(path, size);
    tier_memory_put(m, image, (int64_t)size, &some_state);
    image_unref(image);
}

static int has(struct tier_memory *m, const char *path)
{
    struct memory_hit hit;
    if (tier_memory_find(m, &(struct image_key){"media", path}, &hit) < 0)
        return 0;
    assert_string_equal(hit.image->meta.key.path, path);
    memory_hit_release(&hit);
    return 1;
}

static const char *numbered(const char *prefix, int i)
{
    static char path[32];
    (void)snprintf(path, sizeof path, "%s%d.png", prefix, i);
    return path;
}

static int count(struct tier_memory *m, const char *prefix, int n)
{
    int there = 0;
    for (int i = 0; i < n; i++)
        there += has(m, numbered(prefix, i));
    return there;
}

static void what_is_kept_is_found(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 100, 60);
    struct memory_hit hit;
    put(m, "a.png", 10);
    assert_int_equal(tier_memory_find(m, &(struct image_key){"media", "a.png"}, &hit), 0);
    assert_int_equal(hit.bytes, 10);
    assert_true(filestate_equal(&hit.state, &some_state));
    assert_null(hit.extra);
    memory_hit_release(&hit);
    assert_false(has(m, "b.png"));
    assert_int_equal(tier_memory_find(m, &(struct image_key){"other", "a.png"}, &hit), -2);
    tier_memory_free(m);
}

static void the_newest_of_one_name_counts(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 100, 60);
    struct memory_hit hit;
    put(m, "a.png", 10);
    put(m, "a.png", 20);
    assert_int_equal(tier_memory_find(m, &(struct image_key){"media", "a.png"}, &hit), 0);
    assert_int_equal(hit.image->meta.size, 20);
    memory_hit_release(&hit);
    assert_int_equal(tier_memory_drop(m, &(struct image_key){"media", "a.png"}), 1);
    assert_int_equal(tier_memory_drop(m, &(struct image_key){"media", "a.png"}), 0);
    assert_false(has(m, "a.png"));
    tier_memory_free(m);
}

static void it_is_bounded(void **state)
{
    (void)state;
    static const struct {
        int64_t max_bytes;
        int max_items;
        int images;
        size_t size;
        int kept;
    } cases[] = {
        {1 << 20, 100, 50, 100, 50}, {1 << 20, 100, 1000, 100, 100},   {100000, 1000, 1000, 1000, 100},
        {1 << 20, 1, 10, 100, 1},    {1 << 20, 4096, 10000, 10, 4096},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tier_memory *m = tier_memory_new(cases[i].max_bytes, cases[i].max_items, 60);
        for (int k = 0; k < cases[i].images; k++)
            put(m, numbered("n", k), cases[i].size);
        int kept = count(m, "n", cases[i].images);
        assert_true(kept <= cases[i].kept);
        assert_true(kept >= cases[i].kept * 9 / 10); /* shards fill unevenly */
        tier_memory_free(m);
    }
}

static void a_scan_pushes_out_nothing_that_is_in_use(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 30, 500, 60);
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < 400; i++)
            if (!has(m, numbered("hot", i)))
                put(m, numbered("hot", i), 100);
    assert_int_equal(count(m, "hot", 400), 400);
    for (int i = 0; i < 100000; i++)
        put(m, numbered("scan", i), 100);
    assert_int_equal(count(m, "hot", 400), 400);
    tier_memory_free(m);
}

static void what_was_let_go_too_soon_comes_back_to_stay(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 100, 60);
    put(m, "a.png", 10);
    for (int i = 0; i < 100; i++)
        put(m, numbered("n", i), 10);
    assert_false(has(m, "a.png"));
    put(m, "a.png", 10);
    for (int i = 0; i < 1000; i++)
        put(m, numbered("m", i), 10);
    assert_true(has(m, "a.png"));
    tier_memory_free(m);
}

static void fewer_are_kept_from_now_on(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 200, 60);
    for (int i = 0; i < 200; i++)
        put(m, numbered("n", i), 10);
    tier_memory_limit(m, 50, 60);
    put(m, "a.png", 10);
    assert_true(count(m, "n", 200) <= 50);
    tier_memory_free(m);
}

static void it_ends_with_its_time(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 100, 0);
    put(m, "a.png", 10);
    time_t begun = time(NULL);
    while (has(m, "a.png"))
        assert_true(time(NULL) < begun + 10);
    tier_memory_free(m);
}

struct note {
    struct image_extra extra;
    int *freed;
};

static void free_note(struct image_extra *extra)
{
    ++*((struct note *)extra)->freed;
    free(extra);
}

static void attach(struct tier_memory *m, const struct image *image, int *freed)
{
    struct note *note = malloc(sizeof *note);
    assert_non_null(note);
    atomic_init(&note->extra.references, 1);
    note->extra.free = free_note;
    note->freed = freed;
    tier_memory_attach(m, image, &note->extra);
    image_extra_unref(&note->extra);
}

static void what_is_attached_goes_with_its_image(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 100, 60);
    struct image *image = make("a.png", 10);
    struct memory_hit hit;
    int freed = 0;
    attach(m, image, &freed); /* the image is not kept */
    assert_int_equal(freed, 1);
    tier_memory_put(m, image, 10, &some_state);
    attach(m, image, &freed);
    assert_int_equal(freed, 1);
    attach(m, image, &freed); /* it has one */
    assert_int_equal(freed, 2);
    assert_int_equal(tier_memory_find(m, &image->meta.key, &hit), 0);
    assert_non_null(hit.extra);
    assert_int_equal(tier_memory_drop(m, &image->meta.key), 1);
    assert_int_equal(freed, 2); /* somebody is using it */
    memory_hit_release(&hit);
    assert_int_equal(freed, 3);
    image_unref(image);
    tier_memory_free(m);
}

static int ends_with(const struct image_meta *meta, const char *end)
{
    size_t n = strlen(meta->key.path), m = strlen(end);
    return n >= m && strcmp(meta->key.path + n - m, end) == 0;
}

static void those_that_are_meant_are_dropped(void **state)
{
    (void)state;
    struct tier_memory *m = tier_memory_new(1 << 20, 1000, 60);
    for (int i = 0; i < 100; i++)
        put(m, numbered("n", i), 10);
    assert_int_equal(tier_memory_drop_matching(m, ends_with, "7.png"), 10);
    assert_int_equal(count(m, "n", 100), 90);
    tier_memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_found),
        cmocka_unit_test(the_newest_of_one_name_counts),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(a_scan_pushes_out_nothing_that_is_in_use),
        cmocka_unit_test(what_was_let_go_too_soon_comes_back_to_stay),
        cmocka_unit_test(fewer_are_kept_from_now_on),
        cmocka_unit_test(it_ends_with_its_time),
        cmocka_unit_test(what_is_attached_goes_with_its_image),
        cmocka_unit_test(those_that_are_meant_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
