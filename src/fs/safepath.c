#include "fs/safepath.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/utf8.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

/* openat2 answers EAGAIN when a rename anywhere raced with a ".." in a link: try again, but not forever. */
#define RENAME_RACE_TRIES 32

enum { UNKNOWN, USABLE, REFUSED };
static atomic_int openat2_state = UNKNOWN;
static atomic_int fallback_forced;

static int check_component(const char *name, size_t len, int is_first, struct error *e)
{
    if (len == 0)
        return error_set(e, -EINVAL, "has an empty component: no \"//\", and no \"/\" at the start or the end");
    if (len > SAFEPATH_NAME_MAX)
        return error_set(e, -ENAMETOOLONG, "has a component of %zu bytes, at most %d are allowed: shorten it", len,
                         SAFEPATH_NAME_MAX);
    if ((len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
        return error_set(e, -EINVAL, "has the component \"%.*s\": write the path without it", (int)len, name);
    if (is_first && len == strlen(SAFEPATH_OWN_FOLDER) && memcmp(name, SAFEPATH_OWN_FOLDER, len) == 0)
        return error_set(e, -EINVAL, "lies in \"%s\", which is kept for temporary files: use another folder",
                         SAFEPATH_OWN_FOLDER);
    return 0;
}

int safepath_check(const char *path, size_t len, struct error *e)
{
    if (len == 0)
        return error_set(e, -EINVAL, "is empty: a path has at least one byte");
    if (len > SAFEPATH_MAX)
        return error_set(e, -ENAMETOOLONG, "is %zu bytes long, at most %d are allowed: shorten it", len, SAFEPATH_MAX);
    if (memchr(path, '\0', len))
        return error_set(e, -EINVAL, "holds a NUL byte");
    if (!utf8_valid(path, len))
        return error_set(e, -EILSEQ, "is not UTF-8: rename it");
    if (path[0] == '/')
        return error_set(e, -EINVAL, "is absolute: paths are relative to the collection's folder");

    for (size_t at = 0; at <= len;) {
        const char *slash = at < len ? memchr(path + at, '/', len - at) : NULL;
        size_t n = slash ? (size_t)(slash - path) - at : len - at;
        int r = check_component(path + at, n, at == 0, e);
        if (r < 0)
            return r;
        at += n + 1;
    }
    return 0;
}

static int openat2_call(int fd, const char *path, int flags, unsigned long long resolve)
{
    struct open_how how = {.flags = (unsigned long long)(unsigned)flags | O_CLOEXEC, .resolve = resolve};
    long r = syscall(SYS_openat2, fd, path, &how, sizeof how);
    return r < 0 ? -errno : (int)r;
}

/* EPERM can also be about the file (O_NOATIME on someone else's), so the question is put once about "/". */
static int openat2_usable(void)
{
    int state = atomic_load(&openat2_state);
    if (state == UNKNOWN) {
        int fd = openat2_call(AT_FDCWD, "/", O_PATH, 0);
        state = fd == -ENOSYS || fd == -EPERM ? REFUSED : USABLE;
        if (fd >= 0)
            close(fd);
        atomic_store(&openat2_state, state);
    }
    return state == USABLE;
}

int safepath_follows_links(void)
{
    return !atomic_load(&fallback_forced) && openat2_usable();
}

void safepath_force_fallback(int on)
{
    atomic_store(&fallback_forced, on);
}

static int is_link(int fd, const char *name)
{
    struct stat st;
    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 && S_ISLNK(st.st_mode);
}

/* Opens the one component at `start`, of `len` bytes, and never follows it; makes the folder first when told to. */
static int open_component(int at_fd, const char *start, size_t len, int flags, int make)
{
    char name[SAFEPATH_NAME_MAX + 1];
    if (len >= sizeof name)
        return -ENAMETOOLONG;
    memcpy(name, start, len);
    name[len] = '\0';
    if (len == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EXDEV;

    if (make && mkdirat(at_fd, name, 0777) < 0 && errno != EEXIST)
        return -errno;

    int fd = openat(at_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) /* With O_DIRECTORY the kernel says ENOTDIR of a link; openat2 says ELOOP, and so do we. */
        return errno == ENOTDIR && is_link(at_fd, name) ? -ELOOP : -errno;
    if ((flags & O_PATH) && !(flags & (O_NOFOLLOW | O_DIRECTORY)) && is_link(fd, "")) {
        close(fd);
        return -ELOOP;
    }
    return fd;
}

static int open_stepwise(int root_fd, const char *path, int flags)
{
    if (strcmp(path, ".") == 0) {
        int fd = openat(root_fd, ".", flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }

    int at_fd = root_fd;
    for (;;) {
        size_t len = strcspn(path, "/");
        int is_last = path[len] == '\0';
        int fd = open_component(at_fd, path, len, is_last ? flags : O_PATH | O_DIRECTORY, 0);
        if (at_fd != root_fd)
            close(at_fd);
        if (fd < 0 || is_last)
            return fd;
        at_fd = fd;
        path += len + 1;
    }
}

static unsigned long long resolve_for(enum safepath_links links, int *flags)
{
    unsigned long long resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    if (links == SAFEPATH_NO_LINKS) {
        resolve |= RESOLVE_NO_SYMLINKS;
        /* Together with O_DIRECTORY it would turn the ELOOP of a link into ENOTDIR. */
        if (!(*flags & O_PATH))
            *flags &= ~O_NOFOLLOW;
    }
    return resolve;
}

int safepath_open(int root_fd, const char *path, int flags, enum safepath_links links)
{
    assert(!(flags & O_CREAT));
    if (!safepath_follows_links())
        return open_stepwise(root_fd, path, flags);

    unsigned long long resolve = resolve_for(links, &flags);
    int fd = -EAGAIN;
    for (int i = 0; i < RENAME_RACE_TRIES && fd == -EAGAIN; i++)
        fd = openat2_call(root_fd, path, flags, resolve);
    return fd;
}

int safepath_open_cached(int root_fd, const char *path, int flags, enum safepath_links links)
{
    assert(!(flags & O_CREAT));
    if (!safepath_follows_links())
        return -EAGAIN;
    unsigned long long resolve = resolve_for(links, &flags) | RESOLVE_CACHED;
    int fd = openat2_call(root_fd, path, flags, resolve);
    return fd == -EINVAL ? -EAGAIN : fd; /* a kernel before 5.12 */
}

int safepath_confirm(int root_fd, const char *path)
{
    int fd = safepath_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, SAFEPATH_BENEATH);
    if (fd >= 0)
        close(fd);
    return fd == -ENOENT ? -ENOENT : 0;
}

/* Opens a folder, and makes it and those above it where they are missing. */
static int open_made(int root_fd, char *folder, enum safepath_make make)
{
    int first = make != SAFEPATH_MAKE_ANEW || strcmp(folder, ".") == 0;
    int fd = first ? safepath_open(root_fd, folder, O_RDONLY | O_DIRECTORY, SAFEPATH_BENEATH) : -ENOENT;
    if (fd != -ENOENT)
        return fd;
    char *slash = strrchr(folder, '/');
    int above = root_fd;
    if (slash) {
        *slash = '\0';
        above = open_made(root_fd, folder, make);
        *slash = '/';
    }
    if (above < 0)
        return above;
    const char *name = slash ? slash + 1 : folder;
    fd = open_component(above, name, strlen(name), O_RDONLY | O_DIRECTORY, 1);
    if (above != root_fd)
        close(above);
    if (fd == -ELOOP && !first)
        fd = safepath_open(root_fd, folder, O_RDONLY | O_DIRECTORY, SAFEPATH_BENEATH);
    return fd;
}

int safepath_open_parent(int root_fd, const char *path, enum safepath_make make, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char folder[SAFEPATH_MAX + 1] = ".";
    if (slash) {
        size_t len = (size_t)(slash - path);
        if (len >= sizeof folder)
            return -ENAMETOOLONG;
        memcpy(folder, path, len);
        folder[len] = '\0';
    }

    int fd = make ? open_made(root_fd, folder, make)
                  : safepath_open(root_fd, folder, O_RDONLY | O_DIRECTORY, SAFEPATH_BENEATH);
    if (fd >= 0)
        *ret_name = slash ? slash + 1 : path;
    return fd;
}
