#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "fs/safepath.h"
#include "scratch.h"

static const struct {
    const char *path;
    size_t len; /* 0: strlen */
    int code;
} checks[] = {
    {"a", 0, 0},
    {"a/b/c.jpg", 0, 0},
    {"...", 0, 0},
    {".hidden/..a", 0, 0},
    {"a/.perdura", 0, 0},
    {".perduraa/b", 0, 0},
    {"h\xc3\xa9/\xe2\x82\xac.png", 0, 0},
    {" /\n\t", 0, 0},
    {"a\\b", 0, 0},
    {"/a", 0, -EINVAL},
    {"/", 0, -EINVAL},
    {"a/", 0, -EINVAL},
    {"a//b", 0, -EINVAL},
    {".", 0, -EINVAL},
    {"./a", 0, -EINVAL},
    {"a/.", 0, -EINVAL},
    {"..", 0, -EINVAL},
    {"../a", 0, -EINVAL},
    {"a/../b", 0, -EINVAL},
    {"a/..", 0, -EINVAL},
    {".perdura", 0, -EINVAL},
    {".perdura/x", 0, -EINVAL},
    {"a\0b", 3, -EINVAL},
    {"a\0", 2, -EINVAL},
    {"caf\xe9", 0, -EILSEQ},
    {"\xc0\xae\xc0\xae/a", 0, -EILSEQ},
    {"a\xed\xa0\x80", 0, -EILSEQ},
    {"a\xe2\x82", 0, -EILSEQ},
};

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct error e = {0};
        size_t len = checks[i].len ? checks[i].len : strlen(checks[i].path);
        int r = safepath_check(checks[i].path, len, &e);
        if (r != checks[i].code)
            print_error("case %zu: %s\n", i, checks[i].path);
        assert_int_equal(r, checks[i].code);
        assert_int_equal(e.code, checks[i].code);
        assert_int_equal(e.text[0] != '\0', checks[i].code != 0);
        assert_int_equal(safepath_check(checks[i].path, len, NULL), checks[i].code);
    }
    assert_int_equal(safepath_check("", 0, NULL), -EINVAL);
    assert_int_equal(safepath_check("../../etc", 1, NULL), -EINVAL);
    assert_int_equal(safepath_check("a/../..", 1, NULL), 0); /* len says how many bytes are meant */
}

static void test_check_lengths(void **state)
{
    (void)state;
    char path[SAFEPATH_MAX + 2];
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 200 == 199 ? '/' : 'a';
    assert_int_equal(safepath_check(path, SAFEPATH_MAX, NULL), 0);
    assert_int_equal(safepath_check(path, SAFEPATH_MAX + 1, NULL), -ENAMETOOLONG);

    memset(path, 'a', sizeof path);
    assert_int_equal(safepath_check(path, SAFEPATH_NAME_MAX, NULL), 0);
    assert_int_equal(safepath_check(path, SAFEPATH_NAME_MAX + 1, NULL), -ENAMETOOLONG);
    path[0] = 'b';
    path[1] = '/';
    assert_int_equal(safepath_check(path, SAFEPATH_NAME_MAX + 2, NULL), 0);
    assert_int_equal(safepath_check(path, SAFEPATH_NAME_MAX + 3, NULL), -ENAMETOOLONG);
}

/* d/f, and links: up -> .., abs -> /, in -> d/f, dir -> d, d/back -> ../d/f, loop -> loop, gone -> nothing */
static int setup(void **state)
{
    static struct scratch s;
    *state = &s;
    safepath_force_fallback(0);
    return scratch_make(&s) || mkdirat(s.fd, "d", 0755) || scratch_write(&s, "d/f", "f") ||
           symlinkat("..", s.fd, "up") || symlinkat("/", s.fd, "abs") || symlinkat("d/f", s.fd, "in") ||
           symlinkat("d", s.fd, "dir") || symlinkat("../d/f", s.fd, "d/back") || symlinkat("loop", s.fd, "loop") ||
           symlinkat("nothing", s.fd, "gone");
}

static int teardown(void **state)
{
    safepath_force_fallback(0);
    scratch_remove(*state);
    return 0;
}

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW)

/* What each of the three ways of opening answers: 0 stands for a descriptor. */
static const struct {
    const char *path;
    int flags;
    int no_links, beneath, fallback;
} opens[] = {
    {".", DIR_FLAGS, 0, 0, 0},
    {".", O_PATH, 0, 0, 0},
    {"d", DIR_FLAGS, 0, 0, 0},
    {"d/f", O_RDONLY, 0, 0, 0},
    {"d/f", O_PATH, 0, 0, 0},
    {"d/f", DIR_FLAGS, -ENOTDIR, -ENOTDIR, -ENOTDIR},
    {"d/f/x", O_RDONLY, -ENOTDIR, -ENOTDIR, -ENOTDIR},
    {"none", O_RDONLY, -ENOENT, -ENOENT, -ENOENT},
    {"none/x", O_RDONLY, -ENOENT, -ENOENT, -ENOENT},
    {"in", O_RDONLY, -ELOOP, 0, -ELOOP},
    {"in", O_PATH, -ELOOP, 0, -ELOOP},
    {"in", O_PATH | O_NOFOLLOW, 0, 0, 0},
    {"d/back", O_RDONLY, -ELOOP, 0, -ELOOP},
    {"dir", O_RDONLY | O_DIRECTORY, -ELOOP, 0, -ELOOP},
    {"dir/f", O_RDONLY, -ELOOP, 0, -ELOOP},
    {"up", O_RDONLY, -ELOOP, -EXDEV, -ELOOP},
    {"up/x", O_RDONLY, -ELOOP, -EXDEV, -ELOOP},
    {"abs", O_RDONLY, -ELOOP, -EXDEV, -ELOOP},
    {"abs/etc/passwd", O_RDONLY, -ELOOP, -EXDEV, -ELOOP},
    {"loop", O_RDONLY, -ELOOP, -ELOOP, -ELOOP},
    {"gone", O_RDONLY, -ELOOP, -ENOENT, -ELOOP},
    /* Never checked ones do not get out either. */
    {"..", O_RDONLY, -EXDEV, -EXDEV, -EXDEV},
    {"../x", O_RDONLY, -EXDEV, -EXDEV, -EXDEV},
    {"d/../..", O_RDONLY, -EXDEV, -EXDEV, -EXDEV},
    {"/etc/passwd", O_RDONLY, -EXDEV, -EXDEV, -EXDEV},
};

static void expect_open(const struct scratch *s, size_t i, enum safepath_links links, int want)
{
    int fd = safepath_open(s->fd, opens[i].path, opens[i].flags, links);
    if ((fd >= 0 ? 0 : fd) != want)
        print_error("case %zu: %s links %d: %d\n", i, opens[i].path, (int)links, fd);
    assert_int_equal(fd >= 0 ? 0 : fd, want);
    if (fd >= 0) {
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
    }
}

static void test_open(void **state)
{
    const struct scratch *s = *state;
    if (!safepath_follows_links())
        skip();
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        expect_open(s, i, SAFEPATH_NO_LINKS, opens[i].no_links);
        expect_open(s, i, SAFEPATH_BENEATH, opens[i].beneath);
    }
}

static void test_open_fallback(void **state)
{
    const struct scratch *s = *state;
    safepath_force_fallback(1);
    assert_false(safepath_follows_links());
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        expect_open(s, i, SAFEPATH_NO_LINKS, opens[i].fallback);
        expect_open(s, i, SAFEPATH_BENEATH, opens[i].fallback);
    }
}

static int opens_without_openat2(struct scratch *s, unsigned code)
{
    if (scratch_refuse_call(SYS_openat2, code) < 0)
        return SCRATCH_SKIP;
    int fd = safepath_open(s->fd, "d/f", O_RDONLY, SAFEPATH_NO_LINKS);
    SCRATCH_CHECK(fd >= 0);
    SCRATCH_CHECK(!safepath_follows_links());
    SCRATCH_CHECK(safepath_open(s->fd, "in", O_RDONLY, SAFEPATH_BENEATH) == -ELOOP);
    return 0;
}

static int opens_on_old_kernel(struct scratch *s)
{
    return opens_without_openat2(s, ENOSYS);
}

static int opens_under_filter(struct scratch *s)
{
    return opens_without_openat2(s, EPERM);
}

/* First in the list of tests: what was found out about openat2 is kept by the process, and so by its children. */
static void test_openat2_refused(void **state)
{
    int r = scratch_fork(opens_on_old_kernel, *state);
    if (r == SCRATCH_SKIP)
        skip();
    assert_int_equal(r, 0);
    assert_int_equal(scratch_fork(opens_under_filter, *state), 0);
}

static void expect_parent(const struct scratch *s, const char *path, int make, const char *name, int want)
{
    const char *got = NULL;
    int fd = safepath_open_parent(s->fd, path, make, &got);
    assert_int_equal(fd >= 0 ? 0 : fd, want);
    if (fd < 0) {
        assert_null(got);
        return;
    }
    assert_string_equal(got, name);
    assert_true(got >= path && got < path + strlen(path));
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void test_open_parent(void **state)
{
    const struct scratch *s = *state;
    for (int fallback = 0; fallback < 2; fallback++) {
        safepath_force_fallback(fallback);
        expect_parent(s, "f", 0, "f", 0);
        expect_parent(s, "d/f", 0, "f", 0);
        expect_parent(s, "new/er/f", 0, NULL, -ENOENT);
        assert_false(scratch_exists(s, "new"));
        expect_parent(s, "new/er/f", 1, "f", 0);
        assert_true(scratch_exists(s, "new/er"));
        expect_parent(s, "new/est/f", 1, "f", 0);
        int follows = safepath_follows_links();
        expect_parent(s, "dir/f", 1, "f", follows ? 0 : -ELOOP);
        expect_parent(s, "up/f", 1, NULL, follows ? -EXDEV : -ELOOP);
        expect_parent(s, "gone/f", 1, NULL, -ELOOP);
        expect_parent(s, "d/f/x", 1, NULL, -ENOTDIR);
        expect_parent(s, "new/../../x/f", 1, NULL, -EXDEV);
        assert_int_equal(unlinkat(s->fd, "new/er", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(s->fd, "new/est", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(s->fd, "new", AT_REMOVEDIR), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_openat2_refused, setup, teardown),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_check_lengths),
        cmocka_unit_test_setup_teardown(test_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_fallback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_parent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
