#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/atomicfile.h"
#include "fs/safepath.h"
#include "scratch.h"

static int setup(void **state)
{
    static struct scratch s;
    *state = &s;
    return scratch_make(&s);
}

static int teardown(void **state)
{
    scratch_remove(*state);
    return 0;
}

/* Writes and publishes one file; returns its result. */
static int put(struct staging *st, const char *path, const char *text)
{
    struct atomicfile f = {.path = path};
    int r = atomicfile_write(st, &f, text, strlen(text), INT64_MIN, NULL);
    if (r < 0)
        return r;
    r = atomicfile_publish(st, &f, 1);
    return r < 0 ? r : f.result;
}

static int replace(const struct scratch *s, struct staging *st, const char *path, const struct stat *seen,
                   const char *text, struct error *ret_error)
{
    struct atomicfile f = {.path = path, .replace = 1, .seen = *seen};
    int r = atomicfile_write(st, &f, text, strlen(text), INT64_MIN, NULL);
    if (r < 0)
        return r;
    r = atomicfile_publish(st, &f, 1);
    assert_int_equal(r, f.result == 0);
    assert_true(scratch_exists(s, ".perdura"));
    *ret_error = f.error;
    return f.result;
}

static int count_entries(const struct scratch *s, const char *path)
{
    int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return -1;
    int n = -2; /* "." and ".." */
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void test_publish(void **state)
{
    const struct scratch *s = *state;
    struct staging *st;
    struct stat stat;
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(fstatat(s->fd, ".perdura", &stat, 0), 0);
    assert_int_equal(stat.st_mode & 07777, 0700);

    mode_t old = umask(027);
    struct atomicfile f = {.path = "a/b/c.jpg"};
    assert_int_equal(atomicfile_write(st, &f, "bytes", 5, INT64_C(1234567890123456789), NULL), 0);
    assert_false(scratch_exists(s, "a"));
    assert_int_equal(atomicfile_publish(st, &f, 1), 1);
    umask(old);
    assert_int_equal(f.result, 0);
    assert_int_equal(f.name[0], '\0');
    atomicfile_drop(st, &f);
    assert_true(scratch_holds(s, "a/b/c.jpg", "bytes"));
    assert_int_equal(fstatat(s->fd, "a/b/c.jpg", &stat, 0), 0);
    assert_int_equal(stat.st_mode & 07777, 0640);
    assert_int_equal(stat.st_nlink, 1);
    assert_int_equal(clock_ns(stat.st_mtim), INT64_C(1234567890123456789));

    assert_int_equal(put(st, "top", ""), 0);
    assert_int_equal(staging_sync(staging_root(st)), 0);
    staging_close(st);
    assert_true(scratch_holds(s, "top", ""));
    assert_false(scratch_exists(s, ".perdura"));
    staging_close(NULL);
}

static void test_large(void **state)
{
    const struct scratch *s = *state;
    struct staging *st;
    size_t n = 5000000;
    char *bytes = malloc(n);
    assert_non_null(bytes);
    memset(bytes, 'x', n);
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    struct atomicfile f = {.path = "large"};
    assert_int_equal(atomicfile_write(st, &f, bytes, n, INT64_MIN, NULL), 0);
    assert_int_equal(atomicfile_publish(st, &f, 1), 1);
    staging_close(st);
    free(bytes);
    struct stat stat;
    assert_int_equal(fstatat(s->fd, "large", &stat, 0), 0);
    assert_int_equal(stat.st_size, n);
}

static void test_never_replaces(void **state)
{
    const struct scratch *s = *state;
    struct staging *st;
    struct atomicfile f = {.path = "there"};
    assert_int_equal(scratch_write(s, "there", "old"), 0);
    assert_int_equal(mkdirat(s->fd, "dir", 0755), 0);
    assert_int_equal(symlinkat("nothing", s->fd, "link"), 0);
    assert_int_equal(symlinkat("/tmp", s->fd, "out"), 0);
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);

    assert_int_equal(atomicfile_write(st, &f, "new", 3, INT64_MIN, NULL), 0);
    assert_int_equal(atomicfile_publish(st, &f, 1), 0);
    assert_int_equal(f.result, -EEXIST);
    assert_int_equal(f.error.code, -EEXIST);
    assert_true(scratch_holds(s, "there", "old"));

    assert_int_equal(put(st, "link", "new"), -EEXIST);
    assert_false(scratch_exists(s, "nothing"));
    assert_int_equal(put(st, "dir", "new"), -EISDIR);
    assert_int_equal(put(st, "there/x", "new"), -ENOTDIR);
    assert_int_equal(put(st, "out/x", "new"), safepath_follows_links() ? -EXDEV : -ELOOP);
    staging_close(st);
    assert_false(scratch_exists(s, ".perdura")); /* no temporary was left */
}

static void test_replaces_what_was_seen(void **state)
{
    const struct scratch *s = *state;
    struct staging *st;
    struct stat seen;
    struct error e;
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(scratch_write(s, "f", "old"), 0);
    assert_int_equal(fstatat(s->fd, "f", &seen, 0), 0);
    assert_int_equal(replace(s, st, "f", &seen, "new", &e), 0);
    assert_true(scratch_holds(s, "f", "new"));

    /* It is another one now. */
    assert_int_equal(replace(s, st, "f", &seen, "newer", &e), -EEXIST);
    assert_true(scratch_holds(s, "f", "new"));

    /* The same one, but written to: told by its mtime alone. */
    assert_int_equal(fstatat(s->fd, "f", &seen, 0), 0);
    struct timespec times[2] = {seen.st_mtim, clock_timespec(clock_ns(seen.st_mtim) + 1000)};
    assert_int_equal(utimensat(s->fd, "f", times, 0), 0);
    assert_int_equal(replace(s, st, "f", &seen, "newer", &e), -EEXIST);
    assert_true(scratch_holds(s, "f", "new"));

    assert_int_equal(unlinkat(s->fd, "f", 0), 0);
    assert_int_equal(replace(s, st, "f", &seen, "newer", &e), -ENOENT);
    assert_int_equal(replace(s, st, "none/f", &seen, "newer", &e), -ENOENT);
    assert_false(scratch_exists(s, "none"));
    assert_int_equal(mkdirat(s->fd, "f", 0755), 0);
    assert_int_equal(replace(s, st, "f", &seen, "newer", &e), -EISDIR);
    assert_non_null(strstr(e.text, "folder"));
    staging_close(st);
}

#define MANY 40

static void test_removes_what_was_seen(void **state)
{
    const struct scratch *s = *state;
    struct staging *st;
    struct stat seen, other;
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(put(st, "folder/a", "one"), 0);
    assert_int_equal(fstatat(s->fd, "folder/a", &seen, 0), 0);

    assert_int_equal(scratch_write(s, "b", "two"), 0);
    assert_int_equal(renameat(s->fd, "b", s->fd, "folder/a"), 0);
    assert_int_equal(atomicfile_remove(st, "folder/a", &seen), -EEXIST);
    assert_true(scratch_holds(s, "folder/a", "two"));
    assert_int_equal(fstatat(s->fd, "folder/a", &other, 0), 0);
    assert_int_equal(atomicfile_remove(st, "folder/a", &other), 0);
    assert_false(scratch_exists(s, "folder/a"));
    assert_int_equal(atomicfile_remove(st, "folder/a", &other), -ENOENT);
    assert_int_equal(atomicfile_remove(st, "nowhere/a", &other), -ENOENT);
    staging_close(st);
    assert_false(scratch_exists(s, ".perdura"));
}

static void publish_many(const struct scratch *s, int count)
{
    struct staging *st;
    struct atomicfile files[MANY] = {0};
    char paths[MANY][64];
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    for (int i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "d%d/e%d/f%d", i / 20, i / 5, i);
        files[i].path = paths[i];
        assert_int_equal(atomicfile_write(st, &files[i], paths[i], strlen(paths[i]), INT64_MIN, NULL), 0);
    }
    assert_int_equal(scratch_exists(s, "d0"), 0);
    assert_int_equal(mkdirat(s->fd, "d0", 0755), 0);
    assert_int_equal(mkdirat(s->fd, "d0/e0", 0755), 0);
    assert_int_equal(scratch_write(s, "d0/e0/f1", "other"), 0);
    assert_int_equal(atomicfile_publish(st, files, count), count - 1);
    for (int i = 0; i < count; i++) {
        assert_int_equal(files[i].result, i == 1 ? -EEXIST : 0);
        assert_true(scratch_holds(s, paths[i], i == 1 ? "other" : paths[i]));
    }
    assert_int_equal(staging_sync(staging_root(st)), 0);
    staging_close(st);
    assert_false(scratch_exists(s, ".perdura"));
}

static void test_many(void **state)
{
    publish_many(*state, MANY);
}

static void test_few(void **state)
{
    publish_many(*state, 4);
}

static void test_drop(void **state)
{
    const struct scratch *s = *state;
    struct staging *st;
    struct atomicfile f = {.path = "f"};
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(atomicfile_write(st, &f, "x", 1, INT64_MIN, NULL), 0);
    atomicfile_drop(st, &f);
    atomicfile_drop(st, &f);

    /* What nobody dropped goes with the folder. */
    assert_int_equal(atomicfile_write(st, &f, "x", 1, INT64_MIN, NULL), 0);
    staging_close(st);
    assert_false(scratch_exists(s, ".perdura"));
    assert_false(scratch_exists(s, "f"));
}

/* Leaves two temporaries behind and dies without a chance to clean up. */
static int die_writing(struct scratch *s)
{
    struct staging *st;
    struct atomicfile f;
    if (staging_open(s->fd, &st, NULL) == 0 && atomicfile_write(st, &f, "1", 1, INT64_MIN, NULL) == 0 &&
        atomicfile_write(st, &f, "2", 1, INT64_MIN, NULL) == 0)
        kill(getpid(), SIGKILL);
    return 1;
}

static void test_sweep(void **state)
{
    struct scratch *s = *state;
    struct staging *st;
    struct atomicfile f = {.path = "f"};
    assert_int_equal(staging_sweep(s->fd), 0);
    assert_false(scratch_exists(s, ".perdura"));
    assert_int_equal(scratch_fork(die_writing, s), -1);
    assert_int_equal(count_entries(s, ".perdura"), 1);
    assert_int_equal(staging_sweep(s->fd), 2);
    assert_false(scratch_exists(s, ".perdura"));

    /* The living are left alone, even by their own process; so is what is not ours. */
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(atomicfile_write(st, &f, "x", 1, INT64_MIN, NULL), 0);
    assert_int_equal(scratch_fork(die_writing, s), -1);
    assert_int_equal(mkdirat(s->fd, ".perdura/other", 0755), 0);
    assert_int_equal(mkdirat(s->fd, ".perdura/tmp.halfmade", 0755), 0);
    assert_int_equal(staging_sweep(s->fd), 2);
    assert_int_equal(count_entries(s, ".perdura"), 2);
    assert_int_equal(atomicfile_publish(st, &f, 1), 1);
    staging_close(st);
    assert_int_equal(unlinkat(s->fd, ".perdura/other", AT_REMOVEDIR), 0);

    /* Opening sweeps, too. */
    assert_int_equal(scratch_fork(die_writing, s), -1);
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(count_entries(s, ".perdura"), 1);
    staging_close(st);
    assert_false(scratch_exists(s, ".perdura"));
}

/* The process is killed where it is about to exchange two names; or to take a file aside. */
static int kill_at(unsigned number, unsigned flags_least)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, flags_least, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return SCRATCH_SKIP;
    return 0;
}

static int die_replacing(struct scratch *s)
{
    struct staging *st;
    struct stat seen;
    struct error e;
    if (staging_open(s->fd, &st, NULL) < 0 || fstatat(s->fd, "d/f", &seen, 0) < 0)
        return 1;
    int r = kill_at(SYS_renameat2, RENAME_EXCHANGE);
    return r ? r : 1 + (replace(s, st, "d/f", &seen, "ours", &e) == 0);
}

static int die_removing(struct scratch *s)
{
    struct staging *st;
    struct stat seen;
    if (staging_open(s->fd, &st, NULL) < 0 || fstatat(s->fd, "d/f", &seen, 0) < 0)
        return 1;
    int r = kill_at(SYS_renameat, 0);
    return r ? r : 1 + (atomicfile_remove(st, "d/f", &seen) == 0);
}

/* The one staging folder that there is. */
static int open_left(const struct scratch *s)
{
    int own_fd = openat(s->fd, ".perdura", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    int fd = -1;
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir));)
        if (strncmp(d->d_name, "tmp.", 4) == 0)
            fd = openat(own_fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    closedir(dir);
    assert_true(fd >= 0);
    return fd;
}

static void app_writes(const struct scratch *s, const char *text)
{
    assert_int_equal(scratch_write(s, "new", text), 0);
    assert_int_equal(renameat(s->fd, "new", s->fd, "d/f"), 0);
}

/* Brings the folder to where a process was killed that replaces, or removes, d/f, which held "old". */
static int killed(struct scratch *s, int (*how)(struct scratch *))
{
    (void)mkdirat(s->fd, "d", 0755);
    app_writes(s, "old");
    int r = scratch_fork(how, s);
    if (r != SCRATCH_SKIP)
        assert_int_equal(r, -1);
    return r == SCRATCH_SKIP ? -1 : open_left(s);
}

/* What the app has written between a look and an exchange is in the staging folder when the process dies there. */
static void test_killed_while_replacing(void **state)
{
    struct scratch *s = *state;
    int fd = killed(s, die_replacing);
    if (fd < 0)
        skip();
    assert_int_equal(staging_sweep(s->fd), 1); /* before */
    assert_true(scratch_holds(s, "d/f", "old"));
    close(fd);

    fd = killed(s, die_replacing);
    assert_int_equal(renameat2(fd, "1", s->fd, "d/f", RENAME_EXCHANGE), 0);
    staging_sweep(s->fd); /* behind it, and nobody wrote */
    assert_true(scratch_holds(s, "d/f", "ours"));
    close(fd);

    fd = killed(s, die_replacing);
    app_writes(s, "the app's");
    assert_int_equal(renameat2(fd, "1", s->fd, "d/f", RENAME_EXCHANGE), 0);
    staging_sweep(s->fd); /* it was not put back yet */
    assert_true(scratch_holds(s, "d/f", "the app's"));
    close(fd);

    fd = killed(s, die_replacing);
    app_writes(s, "the app's");
    assert_int_equal(renameat2(fd, "1", s->fd, "d/f", RENAME_EXCHANGE), 0);
    app_writes(s, "later");
    staging_sweep(s->fd);
    assert_true(scratch_holds(s, "d/f", "later"));
    close(fd);

    fd = killed(s, die_replacing);
    app_writes(s, "the app's");
    assert_int_equal(renameat2(fd, "1", s->fd, "d/f", RENAME_EXCHANGE), 0);
    assert_int_equal(unlinkat(s->fd, "d/f", 0), 0);
    assert_int_equal(unlinkat(s->fd, "d", AT_REMOVEDIR), 0);
    staging_sweep(s->fd);
    assert_true(scratch_holds(s, "d/f", "the app's"));
    close(fd);

    /* It stays until it can be put back. */
    fd = killed(s, die_replacing);
    app_writes(s, "the app's");
    assert_int_equal(renameat2(fd, "1", s->fd, "d/f", RENAME_EXCHANGE), 0);
    assert_int_equal(unlinkat(s->fd, "d/f", 0), 0);
    assert_int_equal(mkdirat(s->fd, "d/f", 0755), 0);
    assert_int_equal(staging_sweep(s->fd), 0);
    assert_int_equal(unlinkat(s->fd, "d/f", AT_REMOVEDIR), 0);
    staging_sweep(s->fd);
    assert_true(scratch_holds(s, "d/f", "the app's"));
    assert_false(scratch_exists(s, ".perdura"));
    close(fd);
}

static void test_killed_while_removing(void **state)
{
    struct scratch *s = *state;
    int fd = killed(s, die_removing);
    if (fd < 0)
        skip();
    assert_int_equal(staging_sweep(s->fd), 1);
    assert_true(scratch_holds(s, "d/f", "old"));
    close(fd);

    fd = killed(s, die_removing);
    assert_int_equal(renameat(s->fd, "d/f", fd, "1"), 0);
    staging_sweep(s->fd);
    assert_false(scratch_exists(s, "d/f"));
    close(fd);

    fd = killed(s, die_removing);
    app_writes(s, "the app's");
    assert_int_equal(renameat(s->fd, "d/f", fd, "1"), 0);
    staging_sweep(s->fd);
    assert_true(scratch_holds(s, "d/f", "the app's"));
    assert_false(scratch_exists(s, ".perdura"));
    close(fd);
}

static void test_open_refused(void **state)
{
    const struct scratch *s = *state;
    struct staging *st = NULL;
    struct error e = {0};
    assert_int_equal(symlinkat("/tmp", s->fd, ".perdura"), 0);
    assert_int_equal(staging_open(s->fd, &st, &e), -ELOOP);
    assert_null(st);
    assert_non_null(strstr(e.text, ".perdura"));
    assert_int_equal(staging_sweep(s->fd), -ELOOP);
    assert_int_equal(unlinkat(s->fd, ".perdura", 0), 0);
    assert_int_equal(scratch_write(s, ".perdura", "x"), 0);
    assert_int_equal(staging_open(s->fd, &st, &e), -ENOTDIR);
    assert_null(st);
}

static void remove_staging(const struct scratch *s)
{
    char path[512];
    snprintf(path, sizeof path, "%s/.perdura", s->path);
    nftw(path, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A media folder that is emptied takes the staging folder along. */
static void test_folder_removed(void **state)
{
    struct scratch *s = *state;
    struct staging *st;
    struct atomicfile lost = {.path = "lost"};
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    assert_int_equal(atomicfile_write(st, &lost, "x", 1, INT64_MIN, NULL), 0);

    remove_staging(s);
    assert_int_equal(put(st, "f", "x"), 0);
    assert_true(scratch_holds(s, "f", "x"));
    assert_int_equal(staging_sweep(s->fd), 0); /* the new one is locked as well */
    assert_int_equal(count_entries(s, ".perdura"), 1);
    assert_int_equal(atomicfile_publish(st, &lost, 1), 0);
    assert_int_equal(lost.result, -ENOENT);
    staging_close(st);
    assert_false(scratch_exists(s, ".perdura"));
}

static int publish_on_small_disk(struct scratch *s)
{
    struct staging *st;
    struct error e = {0};
    struct atomicfile f = {.path = "f"};
    static char bytes[400000];
    if (scratch_mount(s, "m", "size=256k") < 0)
        return SCRATCH_SKIP;
    int fd = openat(s->fd, "m", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    SCRATCH_CHECK(staging_open(fd, &st, NULL) == 0);
    SCRATCH_CHECK(atomicfile_write(st, &f, bytes, sizeof bytes, INT64_MIN, &e) == -ENOSPC);
    SCRATCH_CHECK(e.code == -ENOSPC && strstr(e.text, "disk is full") && f.name[0] == '\0');
    SCRATCH_CHECK(atomicfile_write(st, &f, bytes, 200000, INT64_MIN, &e) == 0); /* nothing of the first is left */
    SCRATCH_CHECK(atomicfile_publish(st, &f, 1) == 1);
    staging_close(st);
    return 0;
}

static int publish_across_mount(struct scratch *s)
{
    struct staging *st;
    struct atomicfile f = {.path = "m/f"};
    if (scratch_mount(s, "m", "size=256k") < 0)
        return SCRATCH_SKIP;
    SCRATCH_CHECK(staging_open(s->fd, &st, NULL) == 0);
    SCRATCH_CHECK(atomicfile_write(st, &f, "x", 1, INT64_MIN, NULL) == 0);
    SCRATCH_CHECK(atomicfile_publish(st, &f, 1) == 0);
    SCRATCH_CHECK(f.result == -EXDEV && strstr(f.error.text, "PERDURA_COLLECTIONS"));
    SCRATCH_CHECK(!scratch_exists(s, "m/f"));
    staging_close(st);
    SCRATCH_CHECK(!scratch_exists(s, ".perdura"));
    return 0;
}

static int publish_without_renameat2(struct scratch *s)
{
    struct staging *st;
    struct stat stat;
    if (scratch_refuse_call(SYS_renameat2, EINVAL) < 0)
        return SCRATCH_SKIP;
    SCRATCH_CHECK(staging_open(s->fd, &st, NULL) == 0);
    SCRATCH_CHECK(put(st, "new", "x") == 0);
    SCRATCH_CHECK(scratch_holds(s, "new", "x"));
    SCRATCH_CHECK(fstatat(s->fd, "new", &stat, 0) == 0 && stat.st_nlink == 1);
    SCRATCH_CHECK(put(st, "new", "y") == -EEXIST);
    SCRATCH_CHECK(put(st, "m", "y") == -EISDIR);
    SCRATCH_CHECK(scratch_holds(s, "new", "x"));
    staging_close(st);
    SCRATCH_CHECK(!scratch_exists(s, ".perdura"));
    return 0;
}

static int write_without_permission(struct scratch *s)
{
    struct staging *st = NULL;
    struct error e = {0};
    if (scratch_become_nobody() < 0)
        return SCRATCH_SKIP;
    (void)fchmod(s->fd, 0555); /* for a plain user, who owns the folder */
    SCRATCH_CHECK(staging_open(s->fd, &st, &e) == -EACCES);
    SCRATCH_CHECK(e.code == -EACCES && !st);
    return 0;
}

static void test_other_worlds(void **state)
{
    static int (*const parts[])(struct scratch *) = {publish_on_small_disk, publish_across_mount,
                                                     publish_without_renameat2, write_without_permission};
    struct scratch *s = *state;
    int skipped = 0;
    assert_int_equal(mkdirat(s->fd, "m", 0755), 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int r = scratch_fork(parts[i], s);
        assert_int_equal(fchmod(s->fd, 0755), 0);
        skipped += r == SCRATCH_SKIP;
        assert_true(r == 0 || r == SCRATCH_SKIP);
    }
    if (skipped)
        print_message("%d parts need leave to mount, or to filter system calls\n", skipped);
}

static int open_and_close(struct scratch *s)
{
    for (int i = 0; i < 100; i++) {
        struct staging *st;
        struct error e = {0};
        char path[32];
        snprintf(path, sizeof path, "p%d/%d", (int)getpid(), i % 10);
        int r = staging_open(s->fd, &st, &e);
        if (r < 0)
            fprintf(stderr, "%d %s\n", r, e.text);
        SCRATCH_CHECK(r == 0);
        r = put(st, path, "x");
        SCRATCH_CHECK(r == (i < 10 ? 0 : -EEXIST));
        SCRATCH_CHECK(staging_sweep(s->fd) == 0);
        staging_close(st);
    }
    return 0;
}

/* Processes that come and go at once: none sweeps what a living one has just made. */
static void test_processes(void **state)
{
    struct scratch *s = *state;
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(open_and_close(s));
    }
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(pids[i], &status, 0);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
    assert_false(scratch_exists(s, ".perdura"));
}

struct sharer {
    struct staging *st;
    int number;
    int lost;   /* files whose temporary went with the folder */
    int failed; /* for any other reason */
};

static void *share(void *arg)
{
    struct sharer *me = arg;
    for (int i = 0; i < 30; i++) {
        char path[32];
        snprintf(path, sizeof path, "shared/%d/%d", i % 3, me->number * 100 + i);
        int r = put(me->st, path, path);
        me->lost += r == -ENOENT;
        me->failed += r != 0 && r != -ENOENT;
    }
    return NULL;
}

static void share_among_threads(const struct scratch *s, int removals)
{
    struct staging *st;
    pthread_t threads[4];
    struct sharer sharers[4];
    int lost = 0;
    assert_int_equal(staging_open(s->fd, &st, NULL), 0);
    for (int i = 0; i < 4; i++) {
        sharers[i] = (struct sharer){.st = st, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, share, &sharers[i]), 0);
    }
    for (int i = 0; i < removals; i++)
        remove_staging(s);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(sharers[i].failed, 0);
        lost += sharers[i].lost;
    }
    assert_true(removals || lost == 0);
    assert_int_equal(put(st, "shared/last", "x"), 0);
    staging_close(st);
    assert_int_equal(count_entries(s, "shared/0") + count_entries(s, "shared/1") + count_entries(s, "shared/2"),
                     4 * 30 - lost);
    assert_false(scratch_exists(s, ".perdura"));
}

static void test_threads(void **state)
{
    share_among_threads(*state, 0);
}

static void test_threads_folder_removed(void **state)
{
    share_among_threads(*state, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_publish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaces_what_was_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removes_what_was_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_few, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_while_replacing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_while_removing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_worlds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_folder_removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
