#include "fs/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "fs/fserror.h"
#include "fs/safepath.h"

/* A folder's path, a slash and a name, each byte of which may be shown as \xHH. Names have at most 255 bytes, but a
 * FUSE or CIFS mount may hand out longer ones; those are cut here, where they only serve in a message. */
#define NAME_SHOWN_MAX 1024
#define PATH_ROOM      (SAFEPATH_MAX + 1 + NAME_SHOWN_MAX + 1)

/* A folder that waits to be read; its path is empty for the root. */
struct walk_dir {
    struct walk_dir *next;
    size_t len;
    char path[];
};

struct walk {
    int root_fd;
    enum walk_what what;
    walk_fn *fn;
    void *arg;
    struct walk_dir *pending; /* a stack: what is found last is read first, which keeps it small */
    struct walk_entry entry;
    char path[PATH_ROOM]; /* entry.path points here */
};

static int push_folder(struct walk *w, const char *path, size_t len)
{
    struct walk_dir *f = malloc(sizeof *f + len + 1);
    if (!f)
        return -ENOMEM;
    f->next = w->pending;
    f->len = len;
    memcpy(f->path, path, len);
    f->path[len] = '\0';
    w->pending = f;
    return 0;
}

static struct walk_dir *pop_folder(struct walk *w)
{
    struct walk_dir *f = w->pending;
    w->pending = f->next;
    return f;
}

static void set_path(struct walk *w, const struct walk_dir *in, const char *name, size_t name_len)
{
    size_t at = in->len;
    memcpy(w->path, in->path, at);
    if (at && name_len)
        w->path[at++] = '/';
    if (name_len > NAME_SHOWN_MAX)
        name_len = NAME_SHOWN_MAX;
    memcpy(w->path + at, name, name_len);
    w->path[at + name_len] = '\0';
    w->entry.path_len = at + name_len;
}

/* As set_path, with what is not plain ASCII as \xHH: for names that are not UTF-8, so that they can be told. */
static void set_path_escaped(struct walk *w, const struct walk_dir *in, const char *name)
{
    set_path(w, in, "", 0);
    size_t at = w->entry.path_len;
    if (at)
        w->path[at++] = '/';
    for (; *name && at + 5 <= sizeof w->path; name++) {
        unsigned char c = (unsigned char)*name;
        int plain = c >= 0x20 && c < 0x7f;
        at += (size_t)snprintf(w->path + at, sizeof w->path - at, plain ? "%c" : "\\x%02x", c);
    }
    w->path[at] = '\0';
    w->entry.path_len = at;
}

static int report(struct walk *w, enum walk_kind kind)
{
    w->entry.kind = kind;
    if (kind != WALK_UNREADABLE) {
        w->entry.error.code = 0;
        w->entry.error.text[0] = '\0';
    }
    return w->fn(w->arg, &w->entry);
}

static int report_unreadable(struct walk *w, int code, const char *what)
{
    fserror_set(&w->entry.error, code, what);
    return report(w, WALK_UNREADABLE);
}

static int report_too_long(struct walk *w, size_t len, int is_folder)
{
    error_set(&w->entry.error, -ENAMETOOLONG, "path is %zu bytes long, at most %d are kept: %s", len, SAFEPATH_MAX,
              is_folder ? "nothing beneath it is taken" : "it is not taken");
    return report(w, WALK_UNREADABLE);
}

/* What a link leads to is asked of the kernel, from the root, so that the answer is the one a reader would get. */
static int visit_link(struct walk *w)
{
    int fd = safepath_open(w->root_fd, w->path, O_PATH, SAFEPATH_BENEATH);
    int r = fd < 0 ? fd : fstat(fd, &w->entry.st) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (r == 0)
        return report(w, S_ISREG(w->entry.st.st_mode)   ? WALK_LINKED_FILE
                         : S_ISDIR(w->entry.st.st_mode) ? WALK_LINKED_DIR
                                                        : WALK_SPECIAL);

    const char *why = NULL;
    if (r == -EXDEV)
        why = "is a link that leads out of the collection's folder or is absolute: put the file itself there, "
              "or make the link relative";
    else if (r == -ELOOP && !safepath_follows_links())
        why = "is a link, and this kernel or container does not allow openat2(2), without which links can't be "
              "followed safely: put the file itself there";
    else if (r == -ELOOP)
        why = "is a link that leads back to itself: remove it";
    else if (r == -ENOENT || r == -ENOTDIR)
        why = "is a link to something that does not exist: remove it, or put its target there";
    else
        return report_unreadable(w, r, "is a link whose target can't be looked at");

    error_set(&w->entry.error, r, "%s", why);
    return report(w, WALK_UNREADABLE);
}

static int visit(struct walk *w, const struct walk_dir *in, int in_fd, const struct dirent *d)
{
    const char *name = d->d_name;
    if (w->what == WALK_FOLDERS && d->d_type != DT_DIR && d->d_type != DT_UNKNOWN)
        return 0;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (in->len == 0 && strcmp(name, SAFEPATH_OWN_FOLDER) == 0))
        return 0;

    size_t name_len = strlen(name);
    size_t len = in->len + (in->len > 0) + name_len;
    struct stat *st = &w->entry.st;
    *st = (struct stat){0};
    int failed = fstatat(in_fd, name, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (failed == -ENOENT) /* It was removed since the folder was read. */
        return 0;
    if (w->what == WALK_FOLDERS && !S_ISDIR(st->st_mode))
        return 0;

    if (!utf8_valid(name, name_len)) {
        set_path_escaped(w, in, name);
        error_set(&w->entry.error, -EILSEQ, "has a name that is not UTF-8: rename it (convmv does it for many), %s",
                  S_ISDIR(st->st_mode) ? "nothing beneath it is taken" : "it is not taken");
        return report(w, WALK_UNREADABLE);
    }
    set_path(w, in, name, name_len);
    if (name_len > SAFEPATH_NAME_MAX || len > SAFEPATH_MAX)
        return report_too_long(w, len, S_ISDIR(st->st_mode));
    if (failed)
        return report_unreadable(w, failed, "can't be looked at");

    if (S_ISREG(st->st_mode))
        return report(w, WALK_FILE);
    if (S_ISLNK(st->st_mode))
        return visit_link(w);
    if (!S_ISDIR(st->st_mode))
        return report(w, WALK_SPECIAL);
    /* Not even a name of one byte would fit beneath it: one entry for the folder, instead of one for each file. */
    if (len + 2 > SAFEPATH_MAX)
        return report_too_long(w, len, 1);
    return push_folder(w, w->path, len);
}

/* The folder itself as an entry, unless it is the root, which ends the walk. */
static int fail_folder(struct walk *w, const struct walk_dir *f, int code, const char *what, struct error *e)
{
    if (f->len == 0)
        return fserror_set(e, code, what);
    set_path(w, f, "", 0);
    w->entry.st = (struct stat){0};
    return report_unreadable(w, code, what);
}

static int read_folder(struct walk *w, const struct walk_dir *f, struct error *e)
{
    static const char cannot[] = "can't be listed, so nothing in it is seen";
    int fd = safepath_open(w->root_fd, f->len ? f->path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, SAFEPATH_NO_LINKS);
    if (fd == -ENOENT && f->len)
        return 0;
    if (fd < 0)
        return fail_folder(w, f, fd, cannot, e);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int code = -errno;
        close(fd);
        return fail_folder(w, f, code, cannot, e);
    }

    int r = 0;
    if (w->what != WALK_FILES) {
        set_path(w, f, "", 0);
        r = fstat(dirfd(dir), &w->entry.st) < 0 ? -errno : report(w, WALK_FOLDER);
    }
    while (r == 0) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            if (errno)
                r = fail_folder(w, f, -errno, "can't be listed to its end, so some of it may be missing", e);
            break;
        }
        r = visit(w, f, dirfd(dir), d);
    }
    closedir(dir);
    return r;
}

int walk_beneath(int root_fd, const char *path, enum walk_what what, walk_fn *fn, void *arg, struct error *e)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return fserror_set(e, -ENOMEM, "can't be walked");
    w->root_fd = root_fd;
    w->what = what;
    w->fn = fn;
    w->arg = arg;
    w->entry.path = w->path;

    int r = push_folder(w, path, strlen(path));
    while (r == 0 && w->pending) {
        struct walk_dir *f = pop_folder(w);
        r = read_folder(w, f, e);
        free(f);
    }
    while (w->pending)
        free(pop_folder(w));
    free(w);
    return r;
}

int walk_tree(int root_fd, walk_fn *fn, void *arg, struct error *e)
{
    return walk_beneath(root_fd, "", WALK_FILES, fn, arg, e);
}
