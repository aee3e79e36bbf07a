/* A folder of its own for a test of files, and ways to see what only other users, mounts or kernels would show. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct scratch {
    char path[256];
    int fd; /* of the folder */
};

static inline int scratch_make(struct scratch *s)
{
    const char *in = getenv("TMPDIR");
    snprintf(s->path, sizeof s->path, "%s/perdura-test.XXXXXX", in && *in ? in : "/tmp");
    if (!mkdtemp(s->path) || chmod(s->path, 0755) < 0)
        return -errno;
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->fd < 0 ? -errno : 0;
}

static inline int scratch_remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void scratch_remove(struct scratch *s)
{
    close(s->fd);
    nftw(s->path, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static inline int scratch_write(const struct scratch *s, const char *path, const char *text)
{
    int fd = openat(s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -EIO;
}

/* 1 when `path` holds exactly `text`. */
static inline int scratch_holds(const struct scratch *s, const char *path, const char *text)
{
    char got[4096];
    int fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, got, sizeof got);
    close(fd);
    return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static inline int scratch_exists(const struct scratch *s, const char *path)
{
    struct stat st;
    return fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What a part that runs in a process of its own returns when the machine does not let it do its test. */
#define SCRATCH_SKIP 77

/* In such a part: says where it failed, and returns. */
#define SCRATCH_CHECK(cond)                                                                                            \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Runs `part` in a process of its own and returns what it returned, or -1 when it died. */
static inline int scratch_fork(int (*part)(struct scratch *), struct scratch *s)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(part(s));
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* For such parts: becomes a user who owns nothing. */
static inline int scratch_become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    return setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0 ? -errno : 0;
}

/* For such parts: a small filesystem of its own at s->path/name, seen by this process alone. */
static inline int scratch_mount(struct scratch *s, const char *name, const char *options)
{
    char at[512];
    snprintf(at, sizeof at, "%s/%s", s->path, name);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", at, "tmpfs", 0, options) < 0)
        return -errno;
    /* The old descriptor shows the folder without the mount. */
    int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(s->fd);
    s->fd = fd;
    return 0;
}

/* For such parts: from now on the kernel answers the system call `number` with `code`, as an old one would, or a
 * container's filter. */
static inline int scratch_refuse_call(unsigned number, unsigned code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return -errno;
    return 0;
}

#endif
