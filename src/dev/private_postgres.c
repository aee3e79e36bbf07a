#include "dev/private_postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <locale.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define PORT           "5432" /* part of the socket's name, nothing listens there */
#define START_MS       60000
#define FAST_MS        20000
#define IMMEDIATE_MS   10000
#define TICK_MS        10
#define LOG_TAIL_BYTES 8192
#define LOG_TAIL_LINES 40

/* What needs no quoting in a URL, a list of folders or a shell. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"

static const struct subprocess_user *user_of(const struct private_postgres *pg)
{
    return pg->user.uid == geteuid() ? NULL : &pg->user;
}

static int executable(const char *path)
{
    return access(path, X_OK) == 0;
}

/* The newest of Debian's, else the one in PATH. */
static int find_programs(struct private_postgres *pg, struct error *e)
{
    static const char versions[] = "/usr/lib/postgresql/";
    glob_t found = {0};
    long newest = 0;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char initdb[PATH_MAX], postgres[PATH_MAX];
            long version = strtol(found.gl_pathv[i] + strlen(versions), NULL, 10);
            snprintf(initdb, sizeof initdb, "%s/initdb", found.gl_pathv[i]);
            snprintf(postgres, sizeof postgres, "%s/postgres", found.gl_pathv[i]);
            if (version <= newest || !executable(initdb) || !executable(postgres))
                continue;
            newest = version;
            memcpy(pg->initdb, initdb, sizeof pg->initdb);
            memcpy(pg->postgres, postgres, sizeof pg->postgres);
        }
    }
    globfree(&found);
    if (newest || (subprocess_find("initdb", pg->initdb) == 0 && subprocess_find("postgres", pg->postgres) == 0))
        return 0;
    return error_set(e, -ENOTCONN,
                     "dev needs the PostgreSQL server, and there is none in /usr/lib/postgresql or PATH; "
                     "install it: apt-get install postgresql (Debian, Ubuntu), dnf install "
                     "postgresql-server (Fedora), apk add postgresql (Alpine)");
}

/* PostgreSQL refuses root. */
static int choose_user(struct private_postgres *pg, struct error *e)
{
    pg->user = (struct subprocess_user){.uid = geteuid(), .gid = getegid()};
    if (pg->user.uid != 0)
        return 0;
    const struct passwd *entry = getpwnam("postgres");
    if (!entry)
        entry = getpwnam("nobody");
    if (!entry || entry->pw_uid == 0)
        return error_set(e, -ENOTCONN,
                         "PostgreSQL does not run as root, and there is no user \"postgres\" or \"nobody\" "
                         "to run it as: make one, or run this as a plain user");
    pg->user = (struct subprocess_user){.uid = entry->pw_uid, .gid = entry->pw_gid};
    snprintf(pg->user.name, sizeof pg->user.name, "%s", entry->pw_name);
    return 0;
}

static int suits_sockets(const char *folder)
{
    const struct sockaddr_un limit;
    return strlen(folder) + sizeof "/.s.PGSQL." PORT <= sizeof limit.sun_path && folder[strspn(folder, PLAIN)] == '\0';
}

/* Gives a folder to the server's user, who may not be able to get there. */
static int hand_over(const struct private_postgres *pg, const char *folder)
{
    const struct subprocess_user *user = user_of(pg);
    return (!user || lchown(folder, user->uid, user->gid) == 0) && subprocess_reaches(user, folder);
}

static int find_elsewhere(struct private_postgres *pg, char ret[PATH_MAX], struct error *e)
{
    const char *const parents[] = {getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        if (parents[i] && dev_folder_elsewhere(pg->folder, parents[i], ret, NULL) == 0 && suits_sockets(ret) &&
            hand_over(pg, ret))
            return 0;
    return error_set(e, -ENOTCONN,
                     "PostgreSQL has no place for its files: %s%s%s/postgres can't be used, nor can a folder "
                     "in /tmp",
                     pg->user.name, *pg->user.name ? " can't get at " : "", pg->folder->path);
}

static int make_folders(struct private_postgres *pg, struct error *e)
{
    int r = 0;
    if (snprintf(pg->home, sizeof pg->home, "%s/postgres", pg->folder->path) >= PATH_MAX ||
        mkdirat(pg->folder->fd, "postgres", 0700) < 0)
        return error_set(e, -errno, "%s/postgres can't be made: %s", pg->folder->path, strerror(errno));
    if (!hand_over(pg, pg->home))
        r = find_elsewhere(pg, pg->home, e);
    if (r == 0 && suits_sockets(pg->home))
        memcpy(pg->socket_folder, pg->home, sizeof pg->socket_folder);
    else if (r == 0)
        r = find_elsewhere(pg, pg->socket_folder, e);
    if (r == 0)
        snprintf(pg->url, sizeof pg->url, "postgresql://postgres@/postgres?host=%s&port=" PORT, pg->socket_folder);
    return r;
}

static void print_log_tail(const struct private_postgres *pg)
{
    char tail[LOG_TAIL_BYTES + 1];
    int fd = open(pg->log, O_RDONLY | O_CLOEXEC), lines = 0;
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

static int spawn(struct private_postgres *pg, const char *program, char *const *argv, int death_signal, pid_t *ret,
                 struct error *e)
{
    char path[PATH_MAX + 8], locale[] = "LC_ALL=C";
    snprintf(path, sizeof path, "PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    char *const env[] = {path, locale, NULL};
    int log = open(pg->log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (log < 0)
        return error_set(e, -errno, "%s can't be written: %s", pg->log, strerror(errno));
    const struct subprocess server = {.path = program,
                                      .argv = argv,
                                      .env = env,
                                      .folder = pg->home,
                                      .user = user_of(pg),
                                      .output = log,
                                      .held = dev_folder_lock(pg->folder),
                                      .session = SUBPROCESS_OWN_SESSION,
                                      .death_signal = death_signal,
                                      .signals = pg->signals};
    int r = subprocess_start(&server, ret, e);
    close(log);
    return r < 0 ? error_set(e, -ENOTCONN, "%s", e->text) : 0;
}

/* Older systems have no C.UTF-8. */
static const char *locale_flag(void)
{
    locale_t there = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    if (!there)
        return "--locale=C";
    freelocale(there);
    return "--locale=C.UTF-8";
}

static int make_cluster(struct private_postgres *pg, struct error *e)
{
    const char *const argv[] = {pg->initdb,        "-D",          "data",      "-U", "postgres", "-A", "trust",
                                "--encoding=UTF8", locale_flag(), "--no-sync", NULL};
    pid_t pid;
    int status;
    /* Killed, it can't tell its own children, but they end when what they read from it does. */
    int r = spawn(pg, pg->initdb, (char *const *)argv, SIGKILL, &pid, e);
    if (r < 0)
        return r;
    r = subprocess_wait(pid, pg->signals, clock_monotonic_ms() + START_MS, &status);
    if (r == -EINTR || r == -ETIMEDOUT)
        subprocess_end_session(pid, pg->signals);
    if (r == -EINTR)
        return error_set(e, -ECANCELED, "stopped");
    if (r == 0 && status == 0)
        return 0;
    print_log_tail(pg);
    return error_set(e, -ENOTCONN, "PostgreSQL's initdb failed (its last words are above)");
}

/* The eighth line of this file says how far the server is (pg_ctl looks there, too). */
static int is_ready(const struct private_postgres *pg)
{
    char path[PATH_MAX + 32], text[1024], *rest = text, *line = NULL;
    snprintf(path, sizeof path, "%s/data/postmaster.pid", pg->home);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return 0;
    text[n] = '\0';
    for (int i = 0; i < 8; i++)
        line = strsep(&rest, "\n");
    return line && strncmp(line, "ready", 5) == 0;
}

static int wait_until_ready(struct private_postgres *pg, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + START_MS;
    while (!is_ready(pg)) {
        if (!private_postgres_running(pg))
            return error_set(e, -ENOTCONN, "PostgreSQL did not start (its last words are above)");
        if (clock_left_ms(deadline_ms) == 0)
            return error_set(e, -ENOTCONN, "PostgreSQL was not ready within %d s", START_MS / 1000);
        if (stop_signals_wait(pg->signals, clock_monotonic_ms() + TICK_MS))
            return error_set(e, -ECANCELED, "stopped");
    }
    return 0;
}

static int start_server(struct private_postgres *pg, struct error *e)
{
    static const char port[] = "port=" PORT;
    char sockets[PATH_MAX + 32];
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", pg->socket_folder);
    const char *const argv[] = {
        pg->postgres, /* in full: PostgreSQL finds its other files by it */
        "-D",
        "data",
        "-c",
        "listen_addresses=",
        "-c",
        sockets,
        "-c",
        port,
        "-c",
        "unix_socket_permissions=0700",
        "-c",
        "dynamic_shared_memory_type=mmap", /* in the data folder: whatever happens, /dev/shm stays clean */
        "-c",
        "shared_buffers=64MB",
        "-c",
        "logging_collector=off",
        "-c",
        "log_destination=stderr",
        NULL};
    return spawn(pg, pg->postgres, (char *const *)argv, SIGQUIT, &pg->pid, e);
}

static void read_version(struct private_postgres *pg)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/data/PG_VERSION", pg->home);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(pg->version, sizeof pg->version, f))
        pg->version[0] = '\0';
    pg->version[strcspn(pg->version, "\n")] = '\0';
    if (f)
        fclose(f);
}

int private_postgres_start(struct private_postgres *pg, struct dev_folder *folder, struct stop_signals *signals,
                           struct error *e)
{
    *pg = (struct private_postgres){.folder = folder, .signals = signals};
    int r = find_programs(pg, e);
    if (r == 0)
        r = choose_user(pg, e);
    if (r == 0)
        r = make_folders(pg, e);
    if (r == 0 && snprintf(pg->log, sizeof pg->log, "%s/postgres.log", folder->path) >= PATH_MAX)
        r = error_set(e, -ENAMETOOLONG, "the path of %.80s... is too long", folder->path);
    if (r == 0)
        r = make_cluster(pg, e);
    if (r == 0)
        r = start_server(pg, e);
    if (r == 0)
        r = wait_until_ready(pg, e);
    if (r == 0)
        read_version(pg);
    else
        private_postgres_stop(pg);
    return r;
}

int private_postgres_running(struct private_postgres *pg)
{
    if (pg->pid && waitpid(pg->pid, NULL, WNOHANG) == pg->pid) {
        pg->pid = 0;
        print_log_tail(pg);
    }
    return pg->pid != 0;
}

void private_postgres_stop(struct private_postgres *pg)
{
    static const struct {
        int signal, patience_ms;
    } ways[] = {{SIGINT, FAST_MS}, {SIGQUIT, IMMEDIATE_MS}, {SIGKILL, IMMEDIATE_MS}};
    int status, r = -EINTR;
    for (size_t i = 0; pg->pid && (r == -EINTR || r == -ETIMEDOUT) && i < sizeof ways / sizeof *ways; i++) {
        int64_t deadline_ms = clock_monotonic_ms() + ways[i].patience_ms;
        kill(pg->pid, ways[i].signal);
        do {
            r = subprocess_wait(pg->pid, pg->signals, deadline_ms, &status);
        } while (r == -EINTR && ways[i].signal == SIGKILL);
    }
    pg->pid = 0;
}
