#include "fs/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/clock.h"
#include "fs/fserror.h"
#include "fs/safepath.h"

#define BUFFER_BYTES ((size_t)64 << 10)
#define PATH_ROOM    (SAFEPATH_MAX + 1 + 255 + 1)

/* IN_CREATE is for links and files that get their name last, which nobody closes. */
#define FOLDER_MASK (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK)
#define ROOT_MASK   (FOLDER_MASK | IN_DELETE_SELF | IN_MOVE_SELF)

struct watch_dir {
    int wd;
    UT_hash_handle hh;
    size_t len;
    char path[];
};

struct fs_watch {
    int fd;
    int root_fd;
    const char *root_path;
    int root_wd;
    struct watch_dir *folders; /* by wd. The kernel hands out each number once, so an old event finds no new folder */
    char path[PATH_ROOM];      /* of the event being told */
    char buffer[BUFFER_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
};

int fs_watch_open(struct fs_watch **ret, int root_fd, const char *root_path, struct error *e)
{
    struct fs_watch *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(e, -ENOMEM, "out of memory");
    w->root_fd = root_fd;
    w->root_path = root_path;
    w->root_wd = -1;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        int r = -errno;
        free(w);
        if (r == -EMFILE)
            return error_set(e, r, "no inotify instance is left: raise fs.inotify.max_user_instances");
        return error_set(e, r, "inotify can't be used: %s", strerror(-r));
    }
    *ret = w;
    return 0;
}

static void forget(struct fs_watch *w, struct watch_dir *f)
{
    HASH_DEL(w->folders, f);
    free(f);
}

void fs_watch_close(struct fs_watch *w)
{
    if (!w)
        return;
    struct watch_dir *f, *next;
    HASH_ITER (hh, w->folders, f, next)
        forget(w, f);
    close(w->fd);
    free(w);
}

int fs_watch_fd(const struct fs_watch *w)
{
    return w->fd;
}

size_t fs_watch_folders(const struct fs_watch *w)
{
    return HASH_COUNT(w->folders);
}

/* Without /proc: by the folder's path. Something else may have this name at that moment; that is looked at once the
 * watch is set, and until then does no harm, as events name no more than a path beneath the root. */
static int add_wd_by_path(struct fs_watch *w, int fd, const char *path, uint32_t mask)
{
    char whole[PATH_MAX];
    struct stat meant, found;
    int n = snprintf(whole, sizeof whole, "%s%s%s", w->root_path, *path ? "/" : "", path);
    if (n < 0 || (size_t)n >= sizeof whole)
        return -ENAMETOOLONG;
    int wd = inotify_add_watch(w->fd, whole, mask);
    if (wd < 0)
        return -errno;
    if (fstat(fd, &meant) == 0 && stat(whole, &found) == 0 && meant.st_ino == found.st_ino &&
        meant.st_dev == found.st_dev)
        return wd;
    (void)inotify_rm_watch(w->fd, wd);
    return -ENOENT;
}

/* inotify takes a path and no descriptor: this one leads to the descriptor's folder and nowhere else. */
static int add_wd(struct fs_watch *w, const char *path, size_t len)
{
    char link[32];
    uint32_t mask = len ? FOLDER_MASK : ROOT_MASK;
    int fd = safepath_open(w->root_fd, len ? path : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW, SAFEPATH_NO_LINKS);
    if (fd < 0)
        return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(w->fd, link, mask);
    if (wd < 0)
        wd = -errno;
    if (wd == -ENOENT || wd == -ENOTDIR || wd == -EACCES) /* the descriptor is open, so it is /proc that is missing */
        wd = add_wd_by_path(w, fd, path, mask);
    close(fd);
    return wd;
}

/* 1: was under watch already, by this path; 0: is now; or -errno. */
static int add_folder(struct fs_watch *w, const char *path, size_t len)
{
    struct watch_dir *old, *f;
    int wd = add_wd(w, path, len);
    if (wd < 0)
        return wd;
    HASH_FIND_INT(w->folders, &wd, old);
    if (old && old->len == len && memcmp(old->path, path, len) == 0)
        return 1;
    if (old) /* it was renamed, and we meet it before its events */
        forget(w, old);
    f = malloc(sizeof *f + len + 1);
    if (f) {
        f->wd = wd;
        f->len = len;
        memcpy(f->path, path, len);
        f->path[len] = '\0';
        HASH_ADD_INT(w->folders, wd, f);
        if (!f->hh.tbl) {
            free(f);
            f = NULL;
        }
    }
    if (!f) {
        inotify_rm_watch(w->fd, wd);
        return -ENOMEM;
    }
    if (!len)
        w->root_wd = wd;
    return 0;
}

struct tree {
    struct fs_watch *w;
    walk_fn *fn;
    void *arg;
    int failed; /* the first reason why a folder could not be watched */
};

static int visit(void *arg, const struct walk_entry *entry)
{
    struct tree *t = arg;
    if (entry->kind == WALK_FOLDER && !t->failed) {
        int r = add_folder(t->w, entry->path, entry->path_len);
        if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -ELOOP) /* those three: it went meanwhile */
            t->failed = r;
    }
    return t->fn ? t->fn(t->arg, entry) : 0;
}

static long max_user_watches(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/fs/inotify/max_user_watches", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, text, sizeof text - 1);
        close(fd);
    }
    return strtol(text, NULL, 10);
}

int fs_watch_tree(struct fs_watch *w, const char *path, walk_fn *fn, void *arg, struct error *e)
{
    struct tree t = {.w = w, .fn = fn, .arg = arg};
    int r = walk_beneath(w->root_fd, path, fn ? WALK_ALL : WALK_FOLDERS, visit, &t, e);
    if (r == 0 && t.failed == -ENOSPC)
        return error_set(e, -ENOSPC, "no inotify watches are left (%zu folders have one): raise %s, now %ld",
                         fs_watch_folders(w), "fs.inotify.max_user_watches", max_user_watches());
    if (r == 0 && !t.failed && !*path && !fs_watch_folders(w))
        return error_set(e, -ENOENT, "the folder can't be watched: /proc is not mounted, and %s does not lead to it",
                         w->root_path);
    if (r == 0 && t.failed)
        return error_set(e, t.failed, "a folder can't be watched: %s", strerror(-t.failed));
    return r;
}

/* The folder and all beneath it go by another name now, or none. */
static void forget_beneath(struct fs_watch *w, const char *path, size_t len)
{
    struct watch_dir *f, *next;
    HASH_ITER (hh, w->folders, f, next) {
        if (f->len < len || memcmp(f->path, path, len) != 0 || (f->len > len && f->path[len] != '/'))
            continue;
        inotify_rm_watch(w->fd, f->wd);
        forget(w, f);
    }
}

/* Sets w->path; its length, or 0 when there is nothing to tell. */
static size_t set_path(struct fs_watch *w, const struct watch_dir *in, const char *name)
{
    if (!in->len && strcmp(name, SAFEPATH_OWN_FOLDER) == 0)
        return 0;
    int n = snprintf(w->path, sizeof w->path, "%s%s%s", in->path, in->len ? "/" : "", name);
    return n > 0 && (size_t)n < sizeof w->path ? (size_t)n : 0;
}

/* A link has all its content when it appears; a file that is only being made is told when it is closed. One that has
 * bytes and no other name can be either: it may have lost the other since (link, unlink), or never had one (O_TMPFILE),
 * and then no close is told. */
static int created(struct fs_watch *w)
{
    struct stat st;
    if (fstatat(w->root_fd, w->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (S_ISLNK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink > 1))
        return FS_WATCH_FILE;
    return S_ISREG(st.st_mode) && st.st_size > 0 ? FS_WATCH_APPEARED : -1;
}

/* -1: nothing to tell. */
static int folder_event(struct fs_watch *w, uint32_t mask, size_t len)
{
    if (mask & (IN_CREATE | IN_MOVED_TO)) /* one that is under watch was listed after that */
        return len <= SAFEPATH_MAX && add_folder(w, w->path, len) == 1 ? -1 : FS_WATCH_FOLDER;
    if (mask & IN_MOVED_FROM)
        forget_beneath(w, w->path, len);
    return mask & IN_MOVED_FROM ? FS_WATCH_FOLDER_MOVED : mask & IN_DELETE ? FS_WATCH_FOLDER_GONE : -1;
}

static int file_event(struct fs_watch *w, uint32_t mask)
{
    if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
        return FS_WATCH_FILE;
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        return FS_WATCH_GONE;
    return mask & IN_CREATE ? created(w) : -1;
}

static void tell(struct fs_watch *w, const struct inotify_event *event, fs_watch_fn *fn, void *arg)
{
    struct watch_dir *in;
    size_t len = 0;
    int kind = -1;
    if (event->mask & IN_Q_OVERFLOW) {
        kind = FS_WATCH_OVERFLOW;
    } else {
        HASH_FIND_INT(w->folders, &event->wd, in);
        if (!in)
            return;
        int is_root = in->wd == w->root_wd;
        if (event->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
            kind = is_root ? FS_WATCH_ROOT_GONE : -1;
        else if (event->len && (len = set_path(w, in, event->name)) > 0)
            kind = event->mask & IN_ISDIR ? folder_event(w, event->mask, len) : file_event(w, event->mask);
        if (event->mask & IN_IGNORED)
            forget(w, in);
    }
    if (kind < 0)
        return;
    w->path[len] = '\0';
    fn(arg, &(struct fs_watch_event){.kind = (enum fs_watch_kind)kind, .path = w->path, .path_len = len});
}

int fs_watch_read(struct fs_watch *w, int64_t deadline_ms, fs_watch_fn *fn, void *arg)
{
    ssize_t n;
    while ((n = read(w->fd, w->buffer, sizeof w->buffer)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        int r = poll(&p, 1, clock_left_ms(deadline_ms));
        if (r == 0 || (r < 0 && errno == EINTR && !clock_left_ms(deadline_ms)))
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
    for (char *at = w->buffer; at < w->buffer + n;) {
        const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
        at += sizeof *event + event->len;
        tell(w, event, fn, arg);
    }
    return (int)n;
}

const char *fs_watch_network(int fd)
{
    static const struct {
        unsigned type;
        const char *name;
    } known[] = {
        {0x6969, "NFS"},       {0x517B, "SMB"},        {0xFF534D42, "SMB"},    {0xFE534D42, "SMB"},
        {0x01021997, "9p"},    {0x65735546, "FUSE"},   {0x00C36400, "Ceph"},   {0x5346414F, "AFS"},
        {0x7461636F, "OCFS2"}, {0x01161970, "GFS2"},   {0x0BD00BD0, "Lustre"}, {0x73757245, "Coda"},
        {0x19830326, "FhGFS"}, {0x786F4256, "vboxsf"}, {0x47504653, "GPFS"},
    };
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((unsigned)fs.f_type == known[i].type)
            return known[i].name;
    return NULL;
}
