#include "dev/dev_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/remove_tree.h"

#define LOCK_NAME      "dev.lock"
#define LOCK_HEAD      "perdura-dev "
#define LOCK_MAX       8192
#define ELSEWHERE_LINE "elsewhere "
#define ELSEWHERE_NAME "perdura-dev-XXXXXX"
#define TRIES          10
#define DYING_MS       30000 /* for the PostgreSQL of a killed dev to end */
#define OWNER_MS       1000  /* for the dev itself, which may have been killed a moment ago */
#define TICK_MS        20

static int foreign(struct error *e, const char *path)
{
    return error_set(e, -EEXIST,
                     "%s exists and is not a folder of `perdura-dev`: nothing in it was touched; name "
                     "another one with --dir",
                     path);
}

/* What stands in the lock file, as a string. */
static int read_lock(int lock, char text[LOCK_MAX])
{
    ssize_t n = pread(lock, text, LOCK_MAX - 1, 0);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

/* A record lock beside the flock tells a dev at work from what a killed one started: children do not inherit it. */
static struct flock record_lock(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

/* The dev at work, 0: there is none. */
static long living_owner(int lock)
{
    struct flock record = record_lock();
    return fcntl(lock, F_GETLK, &record) == 0 && record.l_type != F_UNLCK ? (long)record.l_pid : 0;
}

/* Takes both locks. The PostgreSQL of a dev that was killed holds the flock a moment longer. */
static int take_lock(int lock, const char *path, struct stop_signals *s, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + DYING_MS, owner_ms = clock_monotonic_ms() + OWNER_MS;
    while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        long owner;
        if (errno != EWOULDBLOCK)
            return error_set(e, -errno, "%s/" LOCK_NAME " can't be locked: %s", path, strerror(errno));
        if ((owner = living_owner(lock)) && clock_left_ms(owner_ms) == 0)
            return error_set(e, -EBUSY,
                             "another `perdura-dev` (process %ld) is at work in %s: stop that one, or name "
                             "another folder with --dir",
                             owner, path);
        if (clock_left_ms(deadline_ms) == 0)
            return error_set(e, -EBUSY,
                             "%s is in use by what an earlier `perdura-dev` started; name another folder "
                             "with --dir",
                             path);
        if (stop_signals_wait(s, clock_monotonic_ms() + TICK_MS))
            return error_set(e, -ECANCELED, "stopped");
    }
    struct flock record = record_lock();
    if (fcntl(lock, F_SETLK, &record) < 0)
        return error_set(e, -errno, "%s/" LOCK_NAME " can't be locked: %s", path, strerror(errno));
    return 0;
}

/* Whether `name` in the folder still is the file that we opened. */
static int still_there(int folder_fd, const char *name, int fd)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && fstatat(folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* The folder itself: ours alone, and no link. */
static int open_folder(const char *path, struct error *e)
{
    struct stat st;
    int made = mkdir(path, 0777) == 0;
    if (!made && errno != EEXIST)
        return error_set(e, -errno, "the folder %s can't be made: %s; name another one with --dir", path,
                         strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return foreign(e, path);
    if (fd < 0 && errno == ENOENT)
        return -EAGAIN; /* whose it was has just removed it */
    if (fd < 0)
        return error_set(e, -errno, "the folder %s can't be opened: %s", path, strerror(errno));
    if (!made && fstat(fd, &st) == 0 && st.st_uid != geteuid()) {
        close(fd);
        return error_set(e, -EPERM, "%s belongs to another user (%ld): name another folder with --dir", path,
                         (long)st.st_uid);
    }
    return fd;
}

static int is_empty(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), entries = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    while (dir && readdir(dir))
        entries++;
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    return dir && entries <= 2;
}

static int open_lock(int folder_fd, const char *path, struct error *e)
{
    int lock = openat(folder_fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (lock < 0 && errno == ENOENT) {
        if (!is_empty(folder_fd))
            return foreign(e, path);
        lock = openat(folder_fd, LOCK_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (lock < 0 && (errno == EEXIST || errno == ENOENT))
            return -EAGAIN;
    }
    return lock < 0 ? error_set(e, -errno, "%s/" LOCK_NAME " can't be opened: %s", path, strerror(errno)) : lock;
}

/* Opens and locks once. -EAGAIN: somebody else was faster, look again. */
static int open_locked(struct dev_folder *f, const char *path, struct stop_signals *s, struct error *e)
{
    char text[LOCK_MAX];
    f->lock = -1;
    f->fd = open_folder(path, e);
    if (f->fd < 0)
        return f->fd;
    int r = f->lock = open_lock(f->fd, path, e);
    if (r >= 0)
        r = take_lock(f->lock, path, s, e);
    if (r == 0 && !still_there(f->fd, LOCK_NAME, f->lock))
        r = -EAGAIN;
    if (r == 0 && read_lock(f->lock, text) == 0 && *text && strncmp(text, LOCK_HEAD, strlen(LOCK_HEAD)) != 0)
        r = foreign(e, path);
    if (r < 0) {
        if (f->lock >= 0)
            close(f->lock);
        close(f->fd);
    }
    return r;
}

/* Removes a folder that the lock file names. The name must be one that we would have made. */
static int remove_elsewhere(const char *path)
{
    char parent[PATH_MAX];
    const char *name = strrchr(path, '/');
    if (!name || strlen(name + 1) != strlen(ELSEWHERE_NAME) ||
        strncmp(name + 1, ELSEWHERE_NAME, strlen(ELSEWHERE_NAME) - 6) != 0)
        return 0;
    snprintf(parent, sizeof parent, "%.*s", (int)(name - path) + 1, path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = remove_tree(fd, name + 1);
    close(fd);
    return r;
}

/* Everything but the lock file. */
static int empty(struct dev_folder *f, struct error *e)
{
    char text[LOCK_MAX], *rest = text, *line;
    int r = read_lock(f->lock, text);
    while (r == 0 && (line = strsep(&rest, "\n")))
        if (strncmp(line, ELSEWHERE_LINE, strlen(ELSEWHERE_LINE)) == 0)
            r = remove_elsewhere(line + strlen(ELSEWHERE_LINE));
    if (r == 0)
        r = remove_tree_entries(f->fd, LOCK_NAME);
    return r < 0 ? error_set(e, r, "%s can't be emptied: %s; remove it by hand", f->path, strerror(-r)) : 0;
}

static int add_line(int lock, const char *line)
{
    struct stat st;
    size_t n = strlen(line);
    if (fstat(lock, &st) < 0 || (size_t)st.st_size + n >= LOCK_MAX)
        return -EMSGSIZE;
    return pwrite(lock, line, n, st.st_size) == (ssize_t)n ? 0 : -EIO;
}

int dev_folder_open(struct dev_folder *f, const char *path, struct stop_signals *s, struct error *e)
{
    char named[PATH_MAX], head[64];
    int r = -EAGAIN;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') /* with a slash behind, a link would be followed */
        n--;
    if (n == 0 || n >= sizeof named || strpbrk(path, "\n\r")) /* no line of the lock file can hold those */
        return error_set(e, -EINVAL, "\"%.80s\" can't name a folder", path);
    snprintf(named, sizeof named, "%.*s", (int)n, path);

    for (int i = 0; r == -EAGAIN && i < TRIES; i++)
        r = open_locked(f, named, s, e);
    if (r == -EAGAIN)
        return error_set(e, -EBUSY, "%s is being made and removed by others; name another folder with --dir", named);
    if (r < 0)
        return r;
    if (!realpath(named, f->path))
        r = error_set(e, -errno, "%s can't be found: %s", named, strerror(errno));
    if (r == 0)
        r = empty(f, e);
    snprintf(head, sizeof head, LOCK_HEAD "%ld\n", (long)getpid());
    if (r == 0 && (ftruncate(f->lock, 0) < 0 || add_line(f->lock, head) < 0))
        r = error_set(e, -EIO, "%s/" LOCK_NAME " can't be written; is the disk full?", f->path);
    if (r < 0) {
        close(f->lock);
        close(f->fd);
    }
    return r;
}

int dev_folder_lock(const struct dev_folder *f)
{
    return f->lock;
}

int dev_folder_elsewhere(struct dev_folder *f, const char *parent, char ret[PATH_MAX], struct error *e)
{
    char line[PATH_MAX + sizeof ELSEWHERE_LINE + 1];
    if (snprintf(ret, PATH_MAX, "%s/" ELSEWHERE_NAME, parent) >= PATH_MAX || strchr(parent, '\n') || *parent != '/')
        return error_set(e, -EINVAL, "no folder can be made in %.80s", parent);
    if (!mkdtemp(ret))
        return error_set(e, -errno, "no folder can be made in %s: %s", parent, strerror(errno));
    snprintf(line, sizeof line, ELSEWHERE_LINE "%s\n", ret);
    if (add_line(f->lock, line) < 0) {
        rmdir(ret);
        return error_set(e, -EIO, "%s/" LOCK_NAME " can't be written; is the disk full?", f->path);
    }
    return 0;
}

int dev_folder_close(struct dev_folder *f, enum dev_folder_end end, struct error *e)
{
    int r = 0;
    if (end == DEV_FOLDER_REMOVE) {
        r = empty(f, e);
        /* Once the lock file is gone, an empty folder is anyone's to take: then it stays. */
        if (r == 0 && (unlinkat(f->fd, LOCK_NAME, 0) < 0 ||
                       (rmdir(f->path) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)))
            r = error_set(e, -errno, "%s can't be removed: %s", f->path, strerror(errno));
    }
    close(f->lock);
    close(f->fd);
    return r;
}
