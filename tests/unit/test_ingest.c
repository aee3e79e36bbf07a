/* The marks of the write protocol: a copy of a row gets its name only if its image was not written meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/config.h"
#include "scratch.h"
#include "store/ingest.h"
#include "store/store_tiers.h"
#include "tier/tier_disk.h"

static const struct image_key a = {"media", "a.png"}, b = {"media", "b.png"};

/* A store with a disk and nothing else: marks need no database. */
struct fixture {
    struct store store; /* first: the tests' state */
    struct scratch folder;
    struct config_collection collection;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    if (scratch_make(&f.folder) < 0)
        return -1;
    f.collection = (struct config_collection){.name = "media", .root = f.folder.path};
    f.store.disk = tier_disk_new(&f.collection, 1, 1 << 20, 1 << 20);
    *state = &f.store;
    return f.store.disk ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tier_disk_free(f->store.disk);
    scratch_remove(&f->folder);
    return 0;
}

/* What a copy of `key` that was begun at `mark` would get. */
static int publish(struct store *store, const struct image_key *key, uint64_t mark)
{
    const struct atomicfile_gate *gate = ingest_copy_gate(store, key->collection);
    const struct atomicfile file = {.path = key->path, .mark = mark};
    int r = gate->enter(gate->arg, &file);
    if (r == 0)
        gate->leave(gate->arg);
    return r;
}

static void test_a_copy_that_is_overtaken_gets_no_name(void **state)
{
    static const struct {
        enum ingest_kind kind;
        const struct image_key *written;
        int changes, ends; /* before the copy is published */
        int published;
    } cases[] = {
        {INGEST_FILE, &b, 0, 0, 0},
        {INGEST_FILE, &a, 0, 0, -ECANCELED},
        {INGEST_FILE, &a, 0, 1, 0},
        {INGEST_CONTENT, &a, 0, 0, -ECANCELED},
        {INGEST_CONTENT, &a, 1, 1, -ECANCELED},
        {INGEST_CONTENT, &a, 0, 1, 0},
        {INGEST_CONTENT, &b, 1, 1, 0},
    };
    struct store *store = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ingest write = {0};
        uint64_t mark = ingest_mark(store);
        ingest_begin(&write, store, cases[i].kind, cases[i].written, NULL);
        assert_true(ingest_is_under_way(store, cases[i].written));
        if (cases[i].changes)
            ingest_file_changed(&write);
        if (cases[i].ends)
            ingest_end(&write);
        assert_int_equal(publish(store, &a, mark), cases[i].published);
        if (!cases[i].ends)
            ingest_end(&write);
        assert_int_equal(write.phase, INGEST_IDLE);
        assert_false(ingest_is_under_way(store, cases[i].written));
        assert_int_equal(publish(store, &a, ingest_mark(store)), 0); /* one that is begun now */
    }
}

static void test_writes_of_one_image_nest(void **state)
{
    struct store *store = *state;
    struct ingest first = {0}, second = {0};
    ingest_begin(&first, store, INGEST_FILE, &a, NULL);
    ingest_begin(&second, store, INGEST_CONTENT, &a, NULL);
    ingest_end(&first);
    assert_true(ingest_is_under_way(store, &a));
    ingest_end(&second);
    assert_false(ingest_is_under_way(store, &a));
}

/* Who has read the file while another write leads with the row must not store it. */
static void test_a_file_is_not_current_while_its_row_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct ingest file = {0}, upload = {0};
    struct image_meta meta = {.key = a, .size = 3};
    struct stat st;
    assert_int_equal(scratch_write(&f->folder, "a.png", "abc"), 0);
    assert_int_equal(fstatat(f->folder.fd, "a.png", &st, 0), 0);
    meta.mtime_ns = clock_ns(st.st_mtim);
    ingest_begin(&file, &f->store, INGEST_FILE, &a, NULL);
    assert_true(ingest_is_current(&file, &meta));
    ingest_begin(&upload, &f->store, INGEST_CONTENT, &a, NULL);
    assert_false(ingest_is_current(&file, &meta));
    ingest_end(&upload);
    assert_true(ingest_is_current(&file, &meta));
    assert_int_equal(scratch_write(&f->folder, "a.png", "abcd"), 0);
    assert_false(ingest_is_current(&file, &meta));
    ingest_end(&file);
}

static void test_a_base_is_made_of_a_row(void **state)
{
    (void)state;
    struct ingest_base none = ingest_base(NULL), seen = ingest_base(&(struct image_meta){.id = 7, .updated_us = 9});
    assert_int_equal(none.id, 0);
    assert_int_equal(none.updated_us, 0);
    assert_int_equal(seen.id, 7);
    assert_int_equal(seen.updated_us, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_copy_that_is_overtaken_gets_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writes_of_one_image_nest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_is_not_current_while_its_row_is_replaced, setup, teardown),
        cmocka_unit_test(test_a_base_is_made_of_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
