#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "scratch.h"
#include "tier/copy_meta.h"
#include "tier/tier_copies.h"

#define A    "<svg xmlns=\"http://www.w3.org/2000/svg\"><a/></svg>"
#define B    "<svg xmlns=\"http://www.w3.org/2000/svg\"><b/></svg>"
#define THEN INT64_C(1700000000000000)

static const struct image_key key = {"pets", "a/b.svg"};

struct place {
    struct scratch scratch;
    struct config config;
    struct image_origin origin;
    struct tier_copies *copies;
    char file[512]; /* of the key's copy */
};

static int make_place(void **state)
{
    static struct place p;
    static char cache[300];
    char name[COPY_NAME_SIZE];
    memset(&p, 0, sizeof p);
    assert_int_equal(scratch_make(&p.scratch), 0);
    snprintf(cache, sizeof cache, "%s/cache", p.scratch.path);
    assert_int_equal(copy_name(name, key.path), 0);
    snprintf(p.file, sizeof p.file, "%s/pets/%s", cache, name);
    p.origin.collection = "pets";
    p.config.cache_dir = cache;
    p.config.image_origins = &p.origin;
    p.config.image_origins_len = 1;
    p.config.max_upload_bytes = 1000;
    p.copies = tier_copies_new(&p.config);
    assert_non_null(p.copies);
    *state = &p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    tier_copies_free(p->copies);
    scratch_remove(&p->scratch);
    return 0;
}

static void put(struct place *p, const char *bytes, const char *etag)
{
    struct image_meta meta = {.key = key, .etag = etag, .checked_us = THEN, .mtime_ns = INT64_C(1600000000000000000)};
    struct filestate state;
    assert_int_equal(image_describe(&meta, bytes, strlen(bytes), NULL), 0);
    struct image *image = image_new(&meta);
    assert_non_null(image);
    memcpy(image->bytes, bytes, strlen(bytes));
    assert_int_equal(tier_copies_put(p->copies, image, NULL, &state, NULL), 0);
    assert_int_equal(state.mtime_ns, THEN * 1000);
    image_unref(image);
}

static void write_file(const struct place *p, const char *bytes)
{
    FILE *f = fopen(p->file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, strlen(bytes), f), strlen(bytes));
    assert_int_equal(fclose(f), 0);
}

static struct image *open_copy(struct place *p)
{
    struct filestate state;
    struct image *image;
    int r = tier_copies_open(p->copies, &key, &image, &state, NULL);
    if (r == 0)
        return image;
    assert_int_equal(r, -ENOENT);
    return NULL;
}

static void is_copy(struct place *p, const char *bytes, const char *etag)
{
    char held[100] = "";
    struct image *image = open_copy(p);
    assert_non_null(image);
    assert_int_equal(image->meta.size, strlen(bytes));
    assert_int_equal(pread(image->fd, held, sizeof held, 0), strlen(bytes));
    assert_string_equal(held, bytes);
    assert_string_equal(image->meta.key.path, key.path);
    assert_string_equal(image->meta.mime, "image/svg+xml");
    if (etag)
        assert_string_equal(image->meta.etag, etag);
    else
        assert_null(image->meta.etag);
    image_unref(image);
}

static void keeps_and_replaces(void **state)
{
    struct place *p = *state;
    assert_null(open_copy(p));
    put(p, A, "\"a\"");
    is_copy(p, A, "\"a\"");
    put(p, B, NULL);
    is_copy(p, B, NULL);
    struct image *image = open_copy(p);
    assert_int_equal(image->meta.checked_us, THEN);
    assert_int_equal(image->meta.mtime_ns, INT64_C(1600000000000000000));
    image_unref(image);
    assert_int_equal(tier_copies_drop(p->copies, &key), 1);
    assert_int_equal(tier_copies_drop(p->copies, &key), 0);
    assert_null(open_copy(p));
}

/* As if it had been killed between the note and the bytes. */
static void either_content_counts(void **state)
{
    struct place *p = *state;
    put(p, A, "\"a\"");
    put(p, B, "\"b\"");
    write_file(p, A);
    is_copy(p, A, "\"a\"");
    put(p, A, "\"c\"");
    is_copy(p, A, "\"c\"");
}

static void removes_what_is_damaged(void **state)
{
    struct place *p = *state;
    static const char *const damages[] = {"", "text", "<svg xmlns=\"http://www.w3.org/2000/svg\"><c/></svg>"};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        put(p, A, "\"a\"");
        write_file(p, damages[i]);
        assert_null(open_copy(p));
        assert_int_equal(access(p->file, F_OK), -1);
    }
}

static void takes_what_has_no_note(void **state)
{
    struct place *p = *state;
    put(p, A, "\"a\"");
    assert_int_equal(tier_copies_drop(p->copies, &key), 1);
    write_file(p, B);
    is_copy(p, B, NULL);
}

static void a_confirmed_copy_is_new(void **state)
{
    struct place *p = *state;
    struct filestate was, is;
    put(p, A, "\"a\"");
    struct image *image = open_copy(p);
    image->meta.checked_us = THEN + 7;
    assert_int_equal(tier_copies_confirm(image, &was), 0);
    assert_int_equal(was.mtime_ns, (THEN + 7) * 1000);
    assert_int_equal(tier_copies_state(p->copies, &key, &is), 0);
    assert_true(filestate_equal(&was, &is));
    image_unref(image);
    assert_int_equal(tier_copies_expire(p->copies, &key), 1);
    image = open_copy(p);
    assert_int_equal(image->meta.checked_us, 0);
    assert_string_equal(image->meta.etag, "\"a\"");
    image_unref(image);
}

static int ends_with(const struct image_key *k, const char *pattern)
{
    size_t n = strlen(k->path), len = strlen(pattern);
    return n >= len && strcmp(k->path + n - len, pattern) == 0;
}

static void many_expire(void **state)
{
    struct place *p = *state;
    put(p, A, NULL);
    assert_int_equal(tier_copies_expire_matching(p->copies, "pets", ends_with, "c.svg"), 0);
    assert_int_equal(tier_copies_expire_matching(p->copies, "pets", ends_with, "b.svg"), 1);
    assert_int_equal(tier_copies_expire_matching(p->copies, "cats", ends_with, "b.svg"), 0);
}

static void a_folder_comes_anew(void **state)
{
    struct place *p = *state;
    char old[400], new[400];
    put(p, A, NULL);
    snprintf(old, sizeof old, "%s/pets", p->config.cache_dir);
    snprintf(new, sizeof new, "%s/gone", p->config.cache_dir);
    assert_int_equal(rename(old, new), 0);
    struct image *image = open_copy(p); /* by the open folder */
    image_unref(image);
    put(p, B, NULL);
    assert_int_equal(access(p->file, F_OK), 0);
    is_copy(p, B, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_and_replaces, make_place, remove_place),
        cmocka_unit_test_setup_teardown(either_content_counts, make_place, remove_place),
        cmocka_unit_test_setup_teardown(removes_what_is_damaged, make_place, remove_place),
        cmocka_unit_test_setup_teardown(takes_what_has_no_note, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_confirmed_copy_is_new, make_place, remove_place),
        cmocka_unit_test_setup_teardown(many_expire, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_folder_comes_anew, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
