#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/safepath.h"
#include "fs/walk.h"
#include "scratch.h"

struct seen {
    enum walk_kind kind;
    char path[4096];
    size_t size;
    struct error error;
};

struct seen_list {
    struct seen items[64];
    int count;
    int total;
    int stop_after; /* 0: never */
};

static int note(void *arg, const struct walk_entry *entry)
{
    struct seen_list *l = arg;
    l->total++;
    if (l->count < 64) {
        struct seen *i = &l->items[l->count++];
        i->kind = entry->kind;
        i->size = (size_t)entry->st.st_size;
        i->error = entry->error;
        snprintf(i->path, sizeof i->path, "%s", entry->path);
        if (strlen(entry->path) != entry->path_len)
            return -EBADMSG;
    }
    return l->total == l->stop_after ? 42 : 0;
}

static const struct seen *find(const struct seen_list *l, const char *path)
{
    const struct seen *found = NULL;
    for (int i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].path, path) != 0)
            continue;
        assert_null(found);
        found = &l->items[i];
    }
    if (!found)
        print_error("not seen: %s\n", path);
    assert_non_null(found);
    return found;
}

static void expect(const struct seen_list *l, const char *path, enum walk_kind kind, int code, const char *text)
{
    const struct seen *i = find(l, path);
    assert_int_equal(i->kind, kind);
    assert_int_equal(i->error.code, code);
    if (!strstr(i->error.text, text))
        print_error("%s: %s\n", path, i->error.text);
    assert_non_null(strstr(i->error.text, text));
}

static int setup(void **state)
{
    static struct scratch s;
    *state = &s;
    safepath_force_fallback(0);
    return scratch_make(&s);
}

static int teardown(void **state)
{
    safepath_force_fallback(0);
    scratch_remove(*state);
    return 0;
}

static void test_empty(void **state)
{
    const struct scratch *s = *state;
    struct seen_list l = {0};
    assert_int_equal(walk_tree(s->fd, note, &l, NULL), 0);
    assert_int_equal(l.total, 0);
}

static void make_tree(const struct scratch *s)
{
    assert_int_equal(scratch_write(s, "top", "12345"), 0);
    assert_int_equal(mkdirat(s->fd, "a", 0755), 0);
    assert_int_equal(mkdirat(s->fd, "a/b", 0755), 0);
    assert_int_equal(mkdirat(s->fd, "empty", 0755), 0);
    assert_int_equal(mkdirat(s->fd, "a/.perdura", 0755), 0);
    assert_int_equal(mkdirat(s->fd, ".perdura", 0755), 0);
    assert_int_equal(scratch_write(s, ".perdura/1", "own"), 0);
    assert_int_equal(scratch_write(s, "a/.perdura/kept", "x"), 0);
    assert_int_equal(scratch_write(s, "a/b/deep", "12"), 0);
    assert_int_equal(scratch_write(s, "a/new\nline", ""), 0);
    assert_int_equal(mkfifoat(s->fd, "fifo", 0644), 0);
    assert_int_equal(symlinkat("b/deep", s->fd, "a/link"), 0);
    assert_int_equal(symlinkat("a", s->fd, "dirlink"), 0);
    assert_int_equal(symlinkat("fifo", s->fd, "fifolink"), 0);
    assert_int_equal(symlinkat("..", s->fd, "up"), 0);
    assert_int_equal(symlinkat("/etc/passwd", s->fd, "abs"), 0);
    assert_int_equal(symlinkat("loop", s->fd, "loop"), 0);
    assert_int_equal(symlinkat("nothing", s->fd, "gone"), 0);
    assert_int_equal(symlinkat("top/x", s->fd, "notdir"), 0);
}

static void expect_files(const struct seen_list *l)
{
    expect(l, "top", WALK_FILE, 0, "");
    expect(l, "a/b/deep", WALK_FILE, 0, "");
    expect(l, "a/.perdura/kept", WALK_FILE, 0, "");
    expect(l, "a/new\nline", WALK_FILE, 0, "");
    expect(l, "fifo", WALK_SPECIAL, 0, "");
    assert_int_equal(find(l, "top")->size, 5);
    assert_int_equal(l->total, 13);
}

static void test_kinds(void **state)
{
    const struct scratch *s = *state;
    struct seen_list l = {0};
    if (!safepath_follows_links())
        skip();
    make_tree(s);
    assert_int_equal(walk_tree(s->fd, note, &l, NULL), 0);
    expect_files(&l);
    expect(&l, "a/link", WALK_LINKED_FILE, 0, "");
    assert_int_equal(find(&l, "a/link")->size, 2);
    expect(&l, "dirlink", WALK_LINKED_DIR, 0, "");
    expect(&l, "fifolink", WALK_SPECIAL, 0, "");
    expect(&l, "up", WALK_UNREADABLE, -EXDEV, "leads out");
    expect(&l, "abs", WALK_UNREADABLE, -EXDEV, "leads out");
    expect(&l, "loop", WALK_UNREADABLE, -ELOOP, "back to itself");
    expect(&l, "gone", WALK_UNREADABLE, -ENOENT, "does not exist");
    expect(&l, "notdir", WALK_UNREADABLE, -ENOTDIR, "does not exist");
}

static void test_kinds_fallback(void **state)
{
    const struct scratch *s = *state;
    struct seen_list l = {0};
    make_tree(s);
    safepath_force_fallback(1);
    assert_int_equal(walk_tree(s->fd, note, &l, NULL), 0);
    expect_files(&l);
    static const char *const links[] = {"a/link", "dirlink", "fifolink", "up", "abs", "loop", "gone", "notdir"};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        expect(&l, links[i], WALK_UNREADABLE, -ELOOP, "openat2");
}

static void test_not_utf8(void **state)
{
    const struct scratch *s = *state;
    struct seen_list l = {0};
    assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
    if (scratch_write(s, "d/caf\xe9\n.jpg", "x") == -EILSEQ)
        skip();
    assert_int_equal(mkdirat(s->fd, "\xff", 0755), 0);
    assert_int_equal(scratch_write(s, "\xff/inner", "x"), 0);
    assert_int_equal(scratch_write(s, "d/caf\xc3\xa9", "x"), 0);
    assert_int_equal(walk_tree(s->fd, note, &l, NULL), 0);
    expect(&l, "d/caf\\xe9\\x0a.jpg", WALK_UNREADABLE, -EILSEQ, "it is not taken");
    expect(&l, "\\xff", WALK_UNREADABLE, -EILSEQ, "nothing beneath it is taken");
    expect(&l, "d/caf\xc3\xa9", WALK_FILE, 0, "");
    assert_int_equal(l.total, 3);
}

/* Makes nested folders with names of `len` bytes each; changes *fd to the last. */
static void descend(int *fd, int len)
{
    char name[256];
    memset(name, 'x', (size_t)len);
    name[len] = '\0';
    assert_int_equal(mkdirat(*fd, name, 0755), 0);
    int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(next >= 0);
    close(*fd);
    *fd = next;
}

static void create(int fd, const char *name)
{
    int f = openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(f >= 0);
    close(f);
}

static void test_too_long(void **state)
{
    const struct scratch *s = *state;
    struct seen_list l = {0};
    int fd = dup(s->fd);
    for (int i = 0; i < 10; i++)
        descend(&fd, 200);                                 /* the path is 2009 bytes long now */
    create(fd, "01234567890123456789012345678901234567");  /* 2048: fits */
    create(fd, "012345678901234567890123456789012345678"); /* 2049 */
    descend(&fd, 36);                                      /* 2046 */
    create(fd, "a");                                       /* 2048: fits */
    create(fd, "ab");
    descend(&fd, 1); /* 2048: nothing fits beneath it */
    create(fd, "a");
    create(fd, "b");
    close(fd);

    assert_int_equal(walk_tree(s->fd, note, &l, NULL), 0);
    assert_int_equal(l.total, 5);
    int files = 0;
    int too_long = 0;
    int folders = 0;
    for (int i = 0; i < l.count; i++) {
        files += l.items[i].kind == WALK_FILE && strlen(l.items[i].path) == SAFEPATH_MAX;
        too_long += l.items[i].error.code == -ENAMETOOLONG;
        folders += strstr(l.items[i].error.text, "nothing beneath it is taken") != NULL;
    }
    assert_int_equal(files, 2);
    assert_int_equal(too_long, 3);
    assert_int_equal(folders, 1);
}

static void test_stop(void **state)
{
    const struct scratch *s = *state;
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        assert_int_equal(mkdirat(s->fd, name, 0755), 0);
        snprintf(name, sizeof name, "d%d/f", i);
        assert_int_equal(scratch_write(s, name, "x"), 0);
    }
    struct seen_list l = {.stop_after = 7};
    assert_int_equal(walk_tree(s->fd, note, &l, NULL), 42);
    assert_int_equal(l.total, 7);
}

struct changing {
    const struct scratch *s;
    struct seen_list list;
};

/* Whichever of the two folders is entered first, the other is gone or a link when its turn comes. */
static int change(void *arg, const struct walk_entry *entry)
{
    struct changing *c = arg;
    int fd = c->s->fd;
    if (entry->kind == WALK_FILE) {
        const char *other = entry->path[0] == 'p' ? "q" : "p";
        assert_int_equal(renameat(fd, other, fd, other[0] == 'p' ? ".perdura/p" : ".perdura/q"), 0);
        if (entry->path[2] == 's')
            assert_int_equal(symlinkat("/etc", fd, other), 0);
    }
    return note(&c->list, entry);
}

static void walk_changing(const struct scratch *s, const char *file, struct seen_list *l)
{
    char path[16];
    struct changing c = {.s = s};
    assert_int_equal(mkdirat(s->fd, ".perdura", 0755), 0);
    static const char *const folders[] = {"p", "q"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mkdirat(s->fd, folders[i], 0755), 0);
        snprintf(path, sizeof path, "%s/%s", folders[i], file);
        assert_int_equal(scratch_write(s, path, "x"), 0);
    }
    assert_int_equal(walk_tree(s->fd, change, &c, NULL), 0);
    *l = c.list;
}

static void test_vanishing_folder(void **state)
{
    struct seen_list l;
    walk_changing(*state, "vanish", &l);
    assert_int_equal(l.total, 1);
}

static void test_swapped_folder(void **state)
{
    struct seen_list l;
    walk_changing(*state, "swap", &l);
    assert_int_equal(l.total, 2);
    assert_int_equal(l.items[1].kind, WALK_UNREADABLE);
    assert_int_equal(l.items[1].error.code, -ELOOP);
}

static int walk_as_nobody(struct scratch *s)
{
    struct seen_list l = {0};
    struct error e = {0};
    if (scratch_become_nobody() < 0 || faccessat(s->fd, ".", R_OK | X_OK, AT_EACCESS) < 0)
        return SCRATCH_SKIP;
    SCRATCH_CHECK(walk_tree(s->fd, note, &l, &e) == 0);
    SCRATCH_CHECK(l.total == 3);
    for (int i = 0; i < l.count; i++) {
        SCRATCH_CHECK((l.items[i].kind == WALK_UNREADABLE) == (strcmp(l.items[i].path, "open/f") != 0));
        SCRATCH_CHECK(l.items[i].kind == WALK_FILE || l.items[i].error.code == -EACCES);
    }

    int closed = openat(s->fd, "closed", O_PATH | O_DIRECTORY | O_CLOEXEC);
    SCRATCH_CHECK(closed >= 0);
    l = (struct seen_list){0};
    SCRATCH_CHECK(walk_tree(closed, note, &l, &e) == -EACCES);
    SCRATCH_CHECK(e.code == -EACCES && e.text[0] && l.total == 0);
    return 0;
}

static void test_no_permission(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(mkdirat(s->fd, "open", 0755), 0);
    assert_int_equal(mkdirat(s->fd, "closed", 0700), 0);
    assert_int_equal(mkdirat(s->fd, "listed", 0744), 0);
    assert_int_equal(scratch_write(s, "open/f", "x"), 0);
    assert_int_equal(scratch_write(s, "closed/f", "x"), 0);
    assert_int_equal(scratch_write(s, "listed/f", "x"), 0);
    assert_int_equal(fchmodat(s->fd, "closed", 0, 0), 0);
    assert_int_equal(fchmodat(s->fd, "listed", 0444, 0), 0);
    int r = scratch_fork(walk_as_nobody, s);
    assert_int_equal(fchmodat(s->fd, "closed", 0700, 0), 0);
    assert_int_equal(fchmodat(s->fd, "listed", 0700, 0), 0);
    if (r == SCRATCH_SKIP)
        skip();
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds_fallback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vanishing_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swapped_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
