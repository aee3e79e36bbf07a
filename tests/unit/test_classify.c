/* One file beside its row: what is to be done with it, by the row, the times and PERDURA_CONFLICT. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "codec/digest.h"
#include "config/config.h"
#include "scratch.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_object.h"
#include "watch/classify.h"

#define INLINE_MAX 64
#define MINUTE_NS  (60 * INT64_C(1000000000))

static const char gif[] = "GIF89a\1\0\1\0\0\0\0;", other_gif[] = "GIF89a\2\0\2\0\0\0\0;", text[] = "no image at all";

/* A store without a database, a disk or a bucket: a file is compared with a row that is known. */
struct fixture {
    struct scratch folder;
    struct config config;
    struct store store;
    struct buf bytes;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    f.store.config = &f.config;
    f.store.db = tier_db_new(NULL, INLINE_MAX);
    buf_init(&f.bytes, INLINE_MAX + 1);
    *state = &f;
    return f.store.db && tier_object_open(&f.store.objects, &f.config, NULL) == 0 ? scratch_make(&f.folder) : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_release(&f->bytes);
    tier_object_close(f->store.objects);
    tier_db_free(f->store.db);
    scratch_remove(&f->folder);
    return 0;
}

static void write_file(const struct fixture *f, const char *path, const char *bytes, size_t size)
{
    int fd = openat(f->folder.fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static int64_t mtime_of(const struct fixture *f, const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(f->folder.fd, path, &st, 0), 0);
    return clock_ns(st.st_mtim);
}

enum stored { STORED_NOTHING, STORED_SAME, STORED_OTHER };

/* The row's time is the file's plus `later_ns`. */
static const struct {
    const char *name;
    enum stored stored;
    int in_trash;
    int64_t later_ns;
    enum config_conflict conflict;
    enum classify right;
} rows[] = {
    {"new", STORED_NOTHING, 0, 0, CONFIG_CONFLICT_NEWEST, CLASSIFY_WRITE},
    {"stored", STORED_SAME, 0, 0, CONFIG_CONFLICT_NEWEST, CLASSIFY_UNCHANGED},
    {"stored, with an older time", STORED_SAME, 0, -MINUTE_NS, CONFIG_CONFLICT_NEWEST, CLASSIFY_TOUCH},
    {"stored, with a later time", STORED_SAME, 0, MINUTE_NS, CONFIG_CONFLICT_STORE, CLASSIFY_TOUCH},
    {"in the trash", STORED_SAME, 1, 0, CONFIG_CONFLICT_NEWEST, CLASSIFY_IN_TRASH},
    {"written anew since it went to the trash", STORED_SAME, 1, -1, CONFIG_CONFLICT_NEWEST, CLASSIFY_TOUCH},
    {"changed", STORED_OTHER, 0, -MINUTE_NS, CONFIG_CONFLICT_NEWEST, CLASSIFY_WRITE},
    {"changed within a nanosecond", STORED_OTHER, 0, 0, CONFIG_CONFLICT_NEWEST, CLASSIFY_WRITE},
    {"older than what is stored", STORED_OTHER, 0, 1, CONFIG_CONFLICT_NEWEST, CLASSIFY_STORE_WINS},
    {"older, but the disk counts", STORED_OTHER, 0, MINUTE_NS, CONFIG_CONFLICT_DISK, CLASSIFY_WRITE},
    {"newer, but the store counts", STORED_OTHER, 0, -MINUTE_NS, CONFIG_CONFLICT_STORE, CLASSIFY_STORE_WINS},
    {"older than what is in the trash", STORED_OTHER, 1, MINUTE_NS, CONFIG_CONFLICT_NEWEST, CLASSIFY_WRITE},
    {"other than what is in the trash", STORED_OTHER, 1, 0, CONFIG_CONFLICT_STORE, CLASSIFY_WRITE},
};

static void test_rows(void **state)
{
    struct fixture *f = *state;
    write_file(f, "a.gif", gif, sizeof gif - 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct classify_file file = {.key = {"media", "a.gif"}, .root = f->folder.fd, .links = SAFEPATH_BENEATH};
        struct image_meta meta;
        struct error why = {0};
        const char *stored = rows[i].stored == STORED_SAME ? gif : other_gif;
        f->config.conflict = rows[i].conflict;
        if (rows[i].stored != STORED_NOTHING) {
            file.row.base.id = 7;
            file.row.in_trash = rows[i].in_trash;
            file.row.mtime_ns = mtime_of(f, "a.gif") + rows[i].later_ns;
            assert_int_equal(digest_sha256(stored, sizeof gif - 1, file.row.sha256), 0);
        }
        enum classify got = classify(&f->store, &file, &f->bytes, &meta, NULL, &why);
        if (got != rows[i].right)
            fail_msg("%s: %d, not %d: %s", rows[i].name, (int)got, (int)rows[i].right, why.text);
        assert_int_equal(meta.mtime_ns, mtime_of(f, "a.gif"));
        assert_int_equal(meta.size, sizeof gif - 1);
    }
}

static const struct {
    const char *path, *bytes;
    size_t size;
    enum classify right;
    int code;
} contents[] = {
    {"image.gif", gif, sizeof gif - 1, CLASSIFY_WRITE, 0},
    {"image.txt", gif, sizeof gif - 1, CLASSIFY_WRITE, 0}, /* what it is counts, not what it is called */
    {"text.txt", text, sizeof text - 1, CLASSIFY_NOT_KEPT, 0},
    {"text.png", text, sizeof text - 1, CLASSIFY_FAIL, -EINVAL},
    {"empty.png", "", 0, CLASSIFY_FAIL, -EINVAL},
    {"empty.txt", "", 0, CLASSIFY_NOT_KEPT, 0},
    {"gone.gif", NULL, 0, CLASSIFY_GONE, -ENOENT},
};

static void test_contents(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        const struct classify_file file = {
            .key = {"media", contents[i].path}, .root = f->folder.fd, .links = SAFEPATH_BENEATH};
        struct image_meta meta;
        struct error why = {0};
        if (contents[i].bytes)
            write_file(f, contents[i].path, contents[i].bytes, contents[i].size);
        enum classify got = classify(&f->store, &file, &f->bytes, &meta, NULL, &why);
        if (got != contents[i].right || (got == CLASSIFY_FAIL && why.code != contents[i].code))
            fail_msg("%s: %d, code %d: %s", contents[i].path, (int)got, why.code, why.text);
    }
}

static void test_too_large_for_its_row(void **state)
{
    struct fixture *f = *state;
    const struct classify_file file = {.key = {"media", "l.gif"}, .root = f->folder.fd, .links = SAFEPATH_BENEATH};
    char large[INLINE_MAX + 1] = {0};
    struct image_meta meta;
    struct error why = {0};
    memcpy(large, gif, sizeof gif - 1);
    write_file(f, "l.gif", large, sizeof large);
    assert_int_equal(classify(&f->store, &file, &f->bytes, &meta, NULL, &why), CLASSIFY_FAIL);
    assert_int_equal(why.code, -EFBIG);
    assert_non_null(strstr(why.text, "PERDURA_INLINE_MAX"));
}

static void test_links_stay_beneath(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum safepath_links links;
        const char *path;
        enum classify right;
    } ways[] = {
        {SAFEPATH_BENEATH, "in.gif", CLASSIFY_WRITE},
        {SAFEPATH_NO_LINKS, "in.gif", CLASSIFY_FAIL},
        {SAFEPATH_BENEATH, "out.gif", CLASSIFY_FAIL},
    };
    write_file(f, "a.gif", gif, sizeof gif - 1);
    assert_int_equal(symlinkat("a.gif", f->folder.fd, "in.gif"), 0);
    assert_int_equal(symlinkat("/etc/hostname", f->folder.fd, "out.gif"), 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const struct classify_file file = {
            .key = {"media", ways[i].path}, .root = f->folder.fd, .links = ways[i].links};
        struct image_meta meta;
        struct error why = {0};
        assert_int_equal(classify(&f->store, &file, &f->bytes, &meta, NULL, &why), ways[i].right);
    }
}

static void test_what_a_walk_comes_upon(void **state)
{
    static const struct {
        struct walk_entry entry;
        int right;
    } entries[] = {
        {{.kind = WALK_FILE}, 1},
        {{.kind = WALK_LINKED_FILE}, 1},
        {{.kind = WALK_FOLDER}, 0},
        {{.kind = WALK_LINKED_DIR}, 0},
        {{.kind = WALK_SPECIAL, .st.st_mode = S_IFIFO}, -ENXIO},
        {{.kind = WALK_UNREADABLE, .error = {.code = -EACCES}}, -EACCES},
    };
    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        struct error why;
        assert_int_equal(classify_entry(&entries[i].entry, &why), entries[i].right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_for_its_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_stay_beneath, setup, teardown),
        cmocka_unit_test(test_what_a_walk_comes_upon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
