#include "dev/private_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define TICK_MS        10
#define LOG_TAIL_BYTES 8192
#define LOG_TAIL_LINES 40

/* What needs no quoting in a URL, a list of folders or a shell. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"

/* Preparing */

static const struct subprocess_user *user_of(const struct private_server *s)
{
    return s->user.uid == geteuid() ? NULL : &s->user;
}

static int choose_user(struct private_server *s, struct error *e)
{
    s->user = (struct subprocess_user){.uid = geteuid(), .gid = getegid()};
    if (s->user.uid != 0)
        return 0;
    const struct passwd *entry = getpwnam(s->kind->user);
    if (!entry)
        entry = getpwnam("nobody");
    if (!entry || entry->pw_uid == 0)
        return error_set(e, -ENOTCONN,
                         "%s is not run as root, and there is no user \"%s\" or \"nobody\" to run it as: make one, or "
                         "run this as a plain user",
                         s->kind->title, s->kind->user);
    s->user = (struct subprocess_user){.uid = entry->pw_uid, .gid = entry->pw_gid};
    snprintf(s->user.name, sizeof s->user.name, "%s", entry->pw_name);
    return 0;
}

/* Puts our socket into that folder, unless its path would be too long or not plain there. */
static int place_socket(struct private_server *s, const char *folder)
{
    int n = snprintf(s->socket, sizeof s->socket, "%s/%s", folder, s->kind->socket);
    return n < (int)sizeof s->socket && folder[strspn(folder, PLAIN)] == '\0';
}

/* Gives a folder to the server's user, who may not be able to get there. */
static int hand_over(const struct private_server *s, const char *folder)
{
    const struct subprocess_user *user = user_of(s);
    return (!user || lchown(folder, user->uid, user->gid) == 0) && subprocess_reaches(user, folder);
}

static int find_elsewhere(struct private_server *s, char ret[PATH_MAX], struct error *e)
{
    const char *const parents[] = {getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        if (parents[i] && dev_folder_elsewhere(s->folder, parents[i], ret, NULL) == 0 && place_socket(s, ret) &&
            hand_over(s, ret))
            return 0;
    return error_set(e, -ENOTCONN, "%s has no place for its files: %s%s%s/%s can't be used, nor can a folder in /tmp",
                     s->kind->title, s->user.name, *s->user.name ? " can't get at " : "", s->folder->path,
                     s->kind->name);
}

static int make_folders(struct private_server *s, struct error *e)
{
    int r = 0;
    const char *name = s->kind->name;
    if (snprintf(s->home, sizeof s->home, "%s/%s", s->folder->path, name) >= PATH_MAX ||
        snprintf(s->log, sizeof s->log, "%s/%s.log", s->folder->path, name) >= PATH_MAX)
        return error_set(e, -ENAMETOOLONG, "the path of %.80s... is too long", s->folder->path);
    if (mkdirat(s->folder->fd, name, 0700) < 0)
        return error_set(e, -errno, "%s can't be made: %s", s->home, strerror(errno));
    if (!hand_over(s, s->home))
        r = find_elsewhere(s, s->home, e);
    if (r == 0 && place_socket(s, s->home))
        memcpy(s->socket_folder, s->home, sizeof s->socket_folder);
    else if (r == 0)
        r = find_elsewhere(s, s->socket_folder, e);
    return r;
}

int private_server_prepare(struct private_server *s, const struct private_server_kind *kind, struct dev_folder *folder,
                           struct stop_signals *signals, struct error *e)
{
    *s = (struct private_server){.kind = kind, .folder = folder, .signals = signals};
    int r = choose_user(s, e);
    return r < 0 ? r : make_folders(s, e);
}

/* Running */

void private_server_print_log(const struct private_server *s)
{
    char tail[LOG_TAIL_BYTES + 1];
    int fd = open(s->log, O_RDONLY | O_CLOEXEC), lines = 0;
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n = fd < 0 ? 0 : pread(fd, tail, LOG_TAIL_BYTES, size > LOG_TAIL_BYTES ? size - LOG_TAIL_BYTES : 0);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    tail[n] = '\0';
    char *start = tail + n;
    while (start > tail && (start[-1] != '\n' || start == tail + n || ++lines < LOG_TAIL_LINES))
        start--;
    fprintf(stderr, "%s%s", start, tail[n - 1] == '\n' ? "" : "\n");
}

int private_server_spawn(struct private_server *s, const char *const *argv, int death_signal, pid_t *ret,
                         struct error *e)
{
    char path[PATH_MAX + 8], locale[] = "LC_ALL=C";
    snprintf(path, sizeof path, "PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    char *const env[] = {path, locale, NULL};
    int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (log < 0)
        return error_set(e, -errno, "%s can't be written: %s", s->log, strerror(errno));
    const struct subprocess server = {.path = argv[0],
                                      .argv = (char *const *)argv,
                                      .env = env,
                                      .folder = s->home,
                                      .user = user_of(s),
                                      .output = log,
                                      .held = dev_folder_lock(s->folder),
                                      .session = SUBPROCESS_OWN_SESSION,
                                      .death_signal = death_signal,
                                      .signals = s->signals};
    int r = subprocess_start(&server, ret, e);
    close(log);
    return r < 0 ? error_set(e, -ENOTCONN, "%s", e->text) : 0;
}

int private_server_await(struct private_server *s, int (*is_ready)(const struct private_server *), struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + PRIVATE_SERVER_START_MS;
    while (!is_ready(s)) {
        if (!private_server_running(s))
            return error_set(e, -ENOTCONN, "%s did not start (its last words are above)", s->kind->title);
        if (clock_left_ms(deadline_ms) == 0)
            return error_set(e, -ENOTCONN, "%s was not ready within %d s", s->kind->title,
                             PRIVATE_SERVER_START_MS / 1000);
        if (stop_signals_wait(s->signals, clock_monotonic_ms() + TICK_MS))
            return error_set(e, -ECANCELED, "stopped");
    }
    return 0;
}

int private_server_running(struct private_server *s)
{
    if (s->pid && waitpid(s->pid, NULL, WNOHANG) == s->pid) {
        s->pid = 0;
        private_server_print_log(s);
    }
    return s->pid != 0;
}

void private_server_stop(struct private_server *s)
{
    int status, r = -EINTR;
    if (!s->pid)
        return;
    for (const struct private_server_way *way = s->kind->ways; way->signal && (r == -EINTR || r == -ETIMEDOUT); way++) {
        int64_t deadline_ms = clock_monotonic_ms() + way->patience_ms;
        kill(s->pid, way->signal);
        do {
            r = subprocess_wait(s->pid, s->signals, deadline_ms, &status);
        } while (r == -EINTR && way->signal == SIGKILL);
    }
    s->pid = 0;
}
