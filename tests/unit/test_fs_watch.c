#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/safepath.h"
#include "fs/watch.h"
#include "scratch.h"

struct told {
    struct {
        enum fs_watch_kind kind;
        char path[SAFEPATH_MAX + 300];
    } items[256];
    int count;
    char appeared[SAFEPATH_MAX + 300]; /* the last one: what is heard of late has content already, and is told twice */
};

struct fixture {
    struct scratch s;
    struct fs_watch *w;
    struct told told;
};

static struct fixture fixture;

static int setup(void **state)
{
    *state = &fixture;
    fixture.told.count = 0;
    int r = scratch_make(&fixture.s);
    if (r == 0)
        r = fs_watch_open(&fixture.w, fixture.s.fd, fixture.s.path, NULL);
    return r == 0 ? fs_watch_tree(fixture.w, "", NULL, NULL, NULL) : r;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fs_watch_close(f->w);
    scratch_remove(&f->s);
    return 0;
}

static void note(void *arg, const struct fs_watch_event *event)
{
    struct told *t = arg;
    if (event->kind == FS_WATCH_APPEARED)
        snprintf(t->appeared, sizeof t->appeared, "%s", event->path);
    if (event->kind == FS_WATCH_APPEARED || t->count == 256)
        return;
    t->items[t->count].kind = event->kind;
    snprintf(t->items[t->count].path, sizeof t->items[0].path, "%s", event->path);
    assert_int_equal(strlen(event->path), event->path_len);
    t->count++;
}

/* All that waits. */
static struct told *hear(struct fixture *f)
{
    f->told.count = 0;
    f->told.appeared[0] = '\0';
    while (fs_watch_read(f->w, clock_monotonic_ms() + 20, note, &f->told) > 0)
        ;
    return &f->told;
}

static int times(const struct told *t, enum fs_watch_kind kind, const char *path)
{
    int n = 0;
    for (int i = 0; i < t->count; i++)
        n += t->items[i].kind == kind && strcmp(t->items[i].path, path) == 0;
    return n;
}

static void expect(struct fixture *f, enum fs_watch_kind kind, const char *path)
{
    const struct told *t = hear(f);
    if (t->count != 1 || !times(t, kind, path))
        for (int i = 0; i < t->count; i++)
            print_error("told %d %s\n", (int)t->items[i].kind, t->items[i].path);
    assert_int_equal(t->count, 1);
    assert_int_equal(times(t, kind, path), 1);
}

static int count_files(void *arg, const struct walk_entry *entry)
{
    *(int *)arg += entry->kind == WALK_FILE;
    return 0;
}

/* As a receiver does with a new folder; how many files are in it. */
static int enter(struct fixture *f, const char *path)
{
    int files = 0;
    assert_int_equal(fs_watch_tree(f->w, path, count_files, &files, NULL), 0);
    return files;
}

static void test_files(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(scratch_write(&f->s, "a", "1"), 0);
    expect(f, FS_WATCH_FILE, "a");
    assert_int_equal(renameat(f->s.fd, "a", f->s.fd, "b"), 0);
    const struct told *t = hear(f);
    assert_int_equal(t->count, 2);
    assert_int_equal(times(t, FS_WATCH_GONE, "a"), 1);
    assert_int_equal(times(t, FS_WATCH_FILE, "b"), 1);
    assert_int_equal(unlinkat(f->s.fd, "b", 0), 0);
    expect(f, FS_WATCH_GONE, "b");
    assert_int_equal(fs_watch_read(f->w, clock_monotonic_ms(), note, &f->told), 0);
}

static void test_not_told_before_the_close(void **state)
{
    struct fixture *f = *state;
    int fd = openat(f->s.fd, "slow", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(hear(f)->count, 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(hear(f)->count, 0);
    close(fd);
    expect(f, FS_WATCH_FILE, "slow");
}

/* Whether its writer is done with it can't be told then. */
static void test_with_content_before_it_is_heard_of(void **state)
{
    struct fixture *f = *state;
    int fd = openat(f->s.fd, "slow", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_string_equal(hear(f)->appeared, "slow");
    assert_int_equal(f->told.count, 0);
    close(fd);
    expect(f, FS_WATCH_FILE, "slow");
}

static void test_linked_without_a_name_before(void **state)
{
    struct fixture *f = *state;
    char self[32];
    int fd = openat(f->s.fd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
    if (fd < 0)
        skip();
    assert_int_equal(write(fd, "x", 1), 1);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    assert_int_equal(linkat(AT_FDCWD, self, f->s.fd, "linked", AT_SYMLINK_FOLLOW), 0);
    close(fd);
    assert_string_equal(hear(f)->appeared, "linked");
    assert_int_equal(f->told.count, 0);
}

static void test_linked_and_unlinked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(scratch_write(&f->s, ".perdura", "1"), 0);
    assert_int_equal(hear(f)->count, 0);
    assert_int_equal(linkat(f->s.fd, ".perdura", f->s.fd, "last", 0), 0);
    assert_int_equal(unlinkat(f->s.fd, ".perdura", 0), 0);
    assert_string_equal(hear(f)->appeared, "last");
    assert_int_equal(f->told.count, 0);
}

static void test_links(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(scratch_write(&f->s, "a", "1"), 0);
    expect(f, FS_WATCH_FILE, "a");
    assert_int_equal(linkat(f->s.fd, "a", f->s.fd, "hard", 0), 0);
    expect(f, FS_WATCH_FILE, "hard");
    assert_int_equal(symlinkat("a", f->s.fd, "soft"), 0);
    expect(f, FS_WATCH_FILE, "soft");
}

static void test_new_folders(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->s.fd, "d", 0755), 0);
    assert_int_equal(mkdirat(f->s.fd, "d/e", 0755), 0);
    assert_int_equal(scratch_write(&f->s, "d/e/early", "1"), 0);
    expect(f, FS_WATCH_FOLDER, "d");
    assert_int_equal(enter(f, "d"), 1);
    assert_int_equal(fs_watch_folders(f->w), 3);
    assert_int_equal(scratch_write(&f->s, "d/e/late", "1"), 0);
    expect(f, FS_WATCH_FILE, "d/e/late");
    assert_int_equal(unlinkat(f->s.fd, "d/e/late", 0), 0);
    assert_int_equal(unlinkat(f->s.fd, "d/e/early", 0), 0);
    assert_int_equal(unlinkat(f->s.fd, "d/e", AT_REMOVEDIR), 0);
    const struct told *t = hear(f);
    assert_int_equal(t->count, 3);
    assert_int_equal(times(t, FS_WATCH_FOLDER_GONE, "d/e"), 1);
    assert_int_equal(fs_watch_folders(f->w), 2);
}

/* A folder that was met by a listing before its own event is read is not told again. */
static void test_a_folder_that_is_known_is_no_news(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->s.fd, "d", 0755), 0);
    assert_int_equal(enter(f, ""), 0);
    assert_int_equal(hear(f)->count, 0);
    assert_int_equal(scratch_write(&f->s, "d/x", "1"), 0);
    expect(f, FS_WATCH_FILE, "d/x");
}

static void test_renamed_folders(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->s.fd, "d", 0755), 0);
    assert_int_equal(mkdirat(f->s.fd, "d/e", 0755), 0);
    assert_int_equal(mkdirat(f->s.fd, "d2", 0755), 0);
    assert_int_equal(enter(f, ""), 0);
    (void)hear(f);
    assert_int_equal(renameat(f->s.fd, "d", f->s.fd, "n"), 0);
    assert_int_equal(scratch_write(&f->s, "n/e/x", "1"), 0);
    const struct told *t = hear(f);
    assert_int_equal(times(t, FS_WATCH_FOLDER_MOVED, "d"), 1);
    assert_int_equal(times(t, FS_WATCH_FOLDER, "n"), 1);
    assert_int_equal(enter(f, "n"), 1);
    assert_int_equal(fs_watch_folders(f->w), 4); /* root, d2, n, n/e */
    (void)hear(f);
    assert_int_equal(scratch_write(&f->s, "n/e/y", "1"), 0);
    expect(f, FS_WATCH_FILE, "n/e/y");
    assert_int_equal(scratch_write(&f->s, "d2/y", "1"), 0);
    expect(f, FS_WATCH_FILE, "d2/y");
}

/* Renamed, and entered under the new name before the old one's events are read. */
static void test_renamed_behind_our_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->s.fd, "a", 0755), 0);
    assert_int_equal(enter(f, ""), 0);
    (void)hear(f);
    assert_int_equal(renameat(f->s.fd, "a", f->s.fd, "b"), 0);
    assert_int_equal(mkdirat(f->s.fd, "a", 0755), 0);
    assert_int_equal(enter(f, ""), 0);
    const struct told *t = hear(f);
    for (int i = 0; i < t->count; i++)
        if (t->items[i].kind == FS_WATCH_FOLDER)
            (void)enter(f, t->items[i].path);
    (void)hear(f);
    assert_int_equal(scratch_write(&f->s, "a/x", "1"), 0);
    expect(f, FS_WATCH_FILE, "a/x");
    assert_int_equal(scratch_write(&f->s, "b/x", "1"), 0);
    expect(f, FS_WATCH_FILE, "b/x");
}

static void test_moved_out(void **state)
{
    struct fixture *f = *state;
    struct scratch outside;
    assert_int_equal(scratch_make(&outside), 0);
    assert_int_equal(mkdirat(f->s.fd, "d", 0755), 0);
    assert_int_equal(enter(f, ""), 0);
    (void)hear(f);
    assert_int_equal(renameat(f->s.fd, "d", outside.fd, "d"), 0);
    expect(f, FS_WATCH_FOLDER_MOVED, "d");
    assert_int_equal(scratch_write(&outside, "d/x", "1"), 0);
    assert_int_equal(hear(f)->count, 0);
    assert_int_equal(renameat(outside.fd, "d", f->s.fd, "back"), 0);
    expect(f, FS_WATCH_FOLDER, "back");
    assert_int_equal(enter(f, "back"), 1);
    scratch_remove(&outside);
}

static void test_our_own_folder_is_silent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->s.fd, SAFEPATH_OWN_FOLDER, 0755), 0);
    assert_int_equal(scratch_write(&f->s, SAFEPATH_OWN_FOLDER "/1", "1"), 0);
    assert_int_equal(hear(f)->count, 0);
    assert_int_equal(renameat(f->s.fd, SAFEPATH_OWN_FOLDER "/1", f->s.fd, "published"), 0);
    expect(f, FS_WATCH_FILE, "published");
}

static void test_the_root_goes(void **state)
{
    struct fixture *f = *state;
    char moved[sizeof f->s.path + 8];
    snprintf(moved, sizeof moved, "%s.moved", f->s.path);
    assert_int_equal(rename(f->s.path, moved), 0);
    expect(f, FS_WATCH_ROOT_GONE, "");
    assert_int_equal(rename(moved, f->s.path), 0);
}

static void test_overflow(void **state)
{
    struct fixture *f = *state;
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    long max = 0;
    if (!limit || fscanf(limit, "%ld", &max) != 1 || max > 100000) {
        if (limit)
            fclose(limit);
        skip();
    }
    fclose(limit);
    for (long i = 0; i <= max; i++) { /* two names in turn, else equal events become one */
        assert_int_equal(scratch_write(&f->s, i % 2 ? "a" : "b", "1"), 0);
    }
    int overflows = 0;
    struct told *t = &f->told;
    do {
        t->count = 0;
        if (fs_watch_read(f->w, clock_monotonic_ms() + 20, note, t) == 0)
            break;
        overflows += times(t, FS_WATCH_OVERFLOW, "");
        if (t->count == 256) /* the rest of this bufferful was not noted */
            overflows += fs_watch_read(f->w, clock_monotonic_ms() + 20, note, t) == 0;
    } while (!overflows);
    assert_true(overflows > 0);
}

static void test_walk_beneath(void **state)
{
    struct fixture *f = *state;
    int files = 0;
    assert_int_equal(mkdirat(f->s.fd, "d", 0755), 0);
    assert_int_equal(scratch_write(&f->s, "d/x", "1"), 0);
    assert_int_equal(scratch_write(&f->s, "y", "1"), 0);
    assert_int_equal(walk_beneath(f->s.fd, "d", WALK_FILES, count_files, &files, NULL), 0);
    assert_int_equal(files, 1);
    assert_int_equal(walk_beneath(f->s.fd, "", WALK_FOLDERS, count_files, &files, NULL), 0);
    assert_int_equal(files, 1);
    assert_int_equal(walk_beneath(f->s.fd, "nothing", WALK_ALL, count_files, &files, NULL), 0);
    assert_int_equal(files, 1);
}

static void test_local_disk_is_no_network(void **state)
{
    struct fixture *f = *state;
    assert_null(fs_watch_network(-1));
    (void)fs_watch_network(f->s.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_told_before_the_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_with_content_before_it_is_heard_of, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linked_without_a_name_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linked_and_unlinked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_that_is_known_is_no_news, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renamed_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renamed_behind_our_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_our_own_folder_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_root_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_beneath, setup, teardown),
        cmocka_unit_test_setup_teardown(test_local_disk_is_no_network, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
