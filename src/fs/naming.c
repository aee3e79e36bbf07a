#include "fs/naming.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/safepath.h"
#include "fs/staging.h"

#define NOTE      ".of"
#define NOTE_NAME (STAGING_NAME_SIZE + sizeof NOTE)
#define NOTE_SIZE (SAFEPATH_MAX + 256)

/* What tells a file from others on its filesystem. */
struct print {
    int64_t inode, size, mtime_ns;
};

struct note {
    struct print own, goes;
    char path[NOTE_SIZE];
};

static struct print print_of(const struct stat *st)
{
    return (struct print){(int64_t)st->st_ino, st->st_size, clock_ns(st->st_mtim)};
}

static int is_print(const struct stat *st, const struct print *p)
{
    const struct print now = print_of(st);
    return now.inode == p->inode && now.size == p->size && now.mtime_ns == p->mtime_ns;
}

int naming_same(const struct stat *a, const struct stat *b)
{
    const struct print p = print_of(b);
    return a->st_dev == b->st_dev && is_print(a, &p);
}

/* Notes */

static void note_name(char ret[NOTE_NAME], const char *name)
{
    snprintf(ret, NOTE_NAME, "%.*s%s", STAGING_NAME_SIZE - 1, name, NOTE);
}

/* Where none can be made (a full disk, a filesystem without links), a kill at the wrong moment costs what was written
 * in that moment. */
static void make_note(int folder_fd, const char *name, const char *path, const struct stat *goes)
{
    char note[NOTE_NAME], text[NOTE_SIZE];
    struct stat st;
    if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    const struct print a = print_of(&st), b = print_of(goes);
    note_name(note, name);
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %.*s", a.inode,
             a.size, a.mtime_ns, b.inode, b.size, b.mtime_ns, SAFEPATH_MAX, path);
    (void)!symlinkat(text, folder_fd, note);
}

static int parse_print(char **text, struct print *ret)
{
    int64_t *numbers[] = {&ret->inode, &ret->size, &ret->mtime_ns};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *end;
        *numbers[i] = strtoimax(*text, &end, 10);
        if (end == *text || *end != ' ')
            return -EINVAL;
        *text = end + 1;
    }
    return 0;
}

/* 0; -ENOENT: there is none, or another -errno. */
static int read_note(int folder_fd, const char *name, struct note *ret)
{
    char note[NOTE_NAME], text[NOTE_SIZE], *at = text;
    note_name(note, name);
    ssize_t n = readlinkat(folder_fd, note, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    int r = parse_print(&at, &ret->own);
    if (r == 0)
        r = parse_print(&at, &ret->goes);
    if (r == 0)
        r = safepath_check(at, strlen(at), NULL);
    if (r == 0)
        snprintf(ret->path, sizeof ret->path, "%s", at);
    return r;
}

void naming_forget(int folder_fd, const char *name)
{
    char note[NOTE_NAME];
    note_name(note, name);
    (void)unlinkat(folder_fd, note, 0);
}

int naming_has_note(int folder_fd, const char *name)
{
    char note[NOTE_NAME];
    struct stat st;
    note_name(note, name);
    return fstatat(folder_fd, note, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

enum naming_entry naming_entry(int folder_fd, const char *entry)
{
    char name[SAFEPATH_NAME_MAX + 1];
    struct stat st;
    size_t len = strlen(entry), note_len = strlen(NOTE);
    if (len <= note_len || len > SAFEPATH_NAME_MAX || strcmp(entry + len - note_len, NOTE) != 0)
        return NAMING_TEMPORARY;
    snprintf(name, sizeof name, "%.*s", (int)(len - note_len), entry);
    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? NAMING_NOTE : NAMING_NOTE_LEFT;
}

/* Names */

int naming_check(int folder_fd, const char *name, const struct stat *seen)
{
    struct stat st;
    if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return naming_same(&st, seen) ? 0 : -EEXIST;
}

int naming_new(int from_fd, const char *from, int to_fd, const char *to)
{
    int r = renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
    if (r == -EINVAL || r == -ENOSYS || r == -EPERM) {
        /* The filesystem or the kernel can't, or a seccomp filter refuses. A second link does not replace either. */
        r = linkat(from_fd, from, to_fd, to, 0) < 0 ? -errno : 0;
        if (r == 0)
            (void)unlinkat(from_fd, from, 0);
    }
    struct stat st;
    if (r == -EEXIST && fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        r = -EISDIR;
    return r;
}

/* *ret_held is set while what is at `from` is, or may be, somebody else's. */
static int exchange(int from_fd, const char *from, int to_fd, const char *to, const struct stat *seen, int *ret_held)
{
    struct stat expected = *seen, in, out;
    *ret_held = 0;
    for (;;) {
        if (fstatat(from_fd, from, &in, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
        if (renameat2(from_fd, from, to_fd, to, RENAME_EXCHANGE) < 0)
            break;
        int replaced = !*ret_held;
        *ret_held = 1;
        if (fstatat(from_fd, from, &out, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
        if (naming_same(&out, &expected)) {
            *ret_held = 0;
            (void)unlinkat(from_fd, from, 0);
            return replaced ? 0 : -EEXIST;
        }
        expected = in;
    }
    int r = -errno;
    if (r == -ENOENT) /* removed meanwhile, and with it what was written there before */
        *ret_held = 0;
    /* Where that can't be done, what is written between naming_check() and here is lost. */
    if (!*ret_held && (r == -EINVAL || r == -ENOSYS || r == -EPERM))
        r = renameat(from_fd, from, to_fd, to) < 0 ? -errno : 0;
    return r;
}

int naming_exchange(int from_fd, const char *from, int to_fd, const char *to, const char *path, const struct stat *seen)
{
    int held;
    make_note(from_fd, from, path, seen);
    int r = exchange(from_fd, from, to_fd, to, seen, &held);
    if (!held)
        naming_forget(from_fd, from);
    return r;
}

int naming_displace(int from_fd, const char *from, int to_fd, const char *to, const char *path, const struct stat *seen)
{
    struct stat out;
    make_note(to_fd, to, path, seen);
    int r = renameat(from_fd, from, to_fd, to) < 0 ? -errno : 0;
    if (r == 0 && (fstatat(to_fd, to, &out, AT_SYMLINK_NOFOLLOW) < 0 || !naming_same(&out, seen))) {
        r = naming_new(to_fd, to, from_fd, from); /* else a still later one is there */
        if (r < 0 && r != -EEXIST)
            return r; /* what was taken stays, and so does its note */
        r = -EEXIST;
    }
    (void)unlinkat(to_fd, to, 0);
    naming_forget(to_fd, to);
    return r;
}

/* Sweeping */

/* In the place of what is older, or was ours. */
static int put_back(int folder_fd, const char *name, const struct stat *held, int to_fd, const char *to,
                    const struct note *note)
{
    struct stat there;
    int r = naming_new(folder_fd, name, to_fd, to);
    if (r != -EEXIST)
        return r;
    if (fstatat(to_fd, to, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!is_print(&there, &note->own) && clock_ns(there.st_mtim) >= clock_ns(held->st_mtim))
        return 0;
    r = naming_exchange(folder_fd, name, to_fd, to, note->path, &there);
    return r == -EEXIST ? 0 : r;
}

int naming_recover(int root_fd, int folder_fd, const char *name)
{
    struct note note = {0};
    struct stat st;
    const char *to;
    if (read_note(folder_fd, name, &note) < 0)
        return 0;
    if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (is_print(&st, &note.own) || is_print(&st, &note.goes))
        return 0;
    int to_fd = safepath_open_parent(root_fd, note.path, SAFEPATH_MAKE, &to);
    if (to_fd < 0)
        return to_fd;
    int r = put_back(folder_fd, name, &st, to_fd, to, &note);
    close(to_fd);
    return r;
}
