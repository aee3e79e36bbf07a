#include "process/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define ASKED_MS  3000 /* for a session's members to see that their leader is gone */
#define KILLED_MS 3000 /* for the kernel to clear away what was killed */

void subprocess_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int subprocess_find(const char *name, char ret[PATH_MAX])
{
    const char *path = getenv("PATH");
    int r = -ENOENT;
    if (strchr(name, '/')) {
        if (snprintf(ret, PATH_MAX, "%s", name) >= PATH_MAX)
            return -ENAMETOOLONG;
        return access(name, X_OK) == 0 ? 0 : -errno;
    }
    for (const char *at = path ? path : "/usr/bin:/bin"; *name; at++) {
        size_t n = strcspn(at, ":");
        struct stat st;
        int fits = snprintf(ret, PATH_MAX, "%.*s%s%s", (int)n, at, n ? "/" : "./", name) < PATH_MAX;
        if (fits && stat(ret, &st) == 0 && S_ISREG(st.st_mode)) {
            if (access(ret, X_OK) == 0)
                return 0;
            r = -EACCES;
        }
        at += n;
        if (!*at)
            break;
    }
    return r;
}

/* In the child until the exec: nothing here may allocate or lock, for another thread may have held the lock. */

struct failure {
    int code;
    const char *what; /* a literal: the same address on both sides of the fork */
};

static void become(const struct subprocess_user *user, struct failure *f)
{
    if (!user)
        return;
    f->what = "become that user";
    if (setgroups(1, &user->gid) < 0 || setgid(user->gid) < 0 || setuid(user->uid) < 0)
        f->code = -errno;
}

static void redirect(const struct subprocess *p, struct failure *f)
{
    f->what = "redirect";
    if (p->output >= 0) {
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(p->output, 1) < 0 || dup2(p->output, 2) < 0)
            f->code = -errno;
    }
    if (f->code == 0 && p->held >= 0 && fcntl(p->held, F_SETFD, 0) < 0)
        f->code = -errno;
}

static void child(const struct subprocess *p, pid_t parent, int report)
{
    struct failure f = {0};
    if (p->session == SUBPROCESS_OWN_SESSION)
        setsid();
    else if (p->session == SUBPROCESS_OWN_GROUP)
        setpgid(0, 0);
    redirect(p, &f);
    if (f.code == 0)
        become(p->user, &f);
    /* A change of user clears the wish, so it comes after that; our parent may have died before it. */
    if (f.code == 0 && (prctl(PR_SET_PDEATHSIG, p->death_signal) < 0 || getppid() != parent))
        _exit(127);
    if (f.code == 0 && p->folder) {
        f.what = "enter its folder";
        f.code = chdir(p->folder) < 0 ? -errno : 0;
    }
    if (f.code == 0) {
        f.what = "start";
        stop_signals_undo(p->signals);
        execve(p->path, p->argv, p->env ? p->env : environ);
        f.code = -errno;
    }
    (void)!write(report, &f, sizeof f);
    _exit(127);
}

/* Closed by the exec when all went well. */
static int read_failure(int fd, const struct subprocess *p, struct error *e)
{
    struct failure f;
    ssize_t n;
    do {
        n = read(fd, &f, sizeof f);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof f)
        return 0;
    return error_set(e, f.code, "%s%s%s can't %s: %s", p->path, p->user ? " as user " : "",
                     p->user ? p->user->name : "", f.what, strerror(-f.code));
}

int subprocess_start(const struct subprocess *p, pid_t *ret, struct error *e)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set(e, -errno, "%s can't be started: %s", p->path, strerror(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child(p, parent, report[1]);
    int r = pid < 0 ? error_set(e, -errno, "%s can't be started: %s", p->path, strerror(errno)) : 0;
    close(report[1]);
    if (r == 0)
        r = read_failure(report[0], p, e);
    close(report[0]);
    if (r == 0)
        *ret = pid;
    else if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return r;
}

int subprocess_reaches(const struct subprocess_user *user, const char *folder)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct failure f = {0};
        become(user, &f);
        _exit(f.code == 0 && access(folder, W_OK | X_OK) == 0 ? 0 : 1);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int subprocess_wait(pid_t pid, struct stop_signals *s, int64_t deadline_ms, int *ret_status)
{
    for (;;) {
        pid_t r = waitpid(pid, ret_status, WNOHANG);
        if (r == pid)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (stop_signals_wait(s, deadline_ms))
            return -EINTR;
        if (clock_left_ms(deadline_ms) == 0)
            return -ETIMEDOUT;
    }
}

/* Clears away what ended. Whether the whole group did in time. */
static int group_ended(pid_t group, struct stop_signals *s, int64_t deadline_ms)
{
    for (;;) {
        pid_t r = waitpid(-group, NULL, WNOHANG);
        if (r < 0)
            return errno == ECHILD;
        if (r == 0 && clock_left_ms(deadline_ms) == 0)
            return 0;
        if (r == 0)
            (void)stop_signals_wait(s, deadline_ms);
    }
}

void subprocess_end_session(pid_t pid, struct stop_signals *s)
{
    kill(pid, SIGKILL);
    if (group_ended(pid, s, clock_monotonic_ms() + ASKED_MS))
        return;
    kill(-pid, SIGKILL);
    (void)group_ended(pid, s, clock_monotonic_ms() + KILLED_MS);
}

int subprocess_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void subprocess_relay(pid_t pid, enum subprocess_session session, const struct stop_signals *s)
{
    /* A terminal that closes tells its session's leader alone. */
    if (session != SUBPROCESS_OUR_SESSION || !s->from_terminal || s->latest == SIGHUP)
        kill(pid, s->latest);
}
