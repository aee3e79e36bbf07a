#include "dev/private_postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define PORT "5432" /* part of the socket's name, nothing listens there */

static const struct private_server_kind kind = {
    .title = "PostgreSQL",
    .name = "postgres",
    .user = "postgres",
    .socket = ".s.PGSQL." PORT,
    .ways = {{SIGINT, 20000}, {SIGQUIT, 10000}, {SIGKILL, 10000}}, /* a fast shutdown, an immediate one, none */
};

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
    struct private_server *server = &pg->server;
    const char *const argv[] = {pg->initdb,        "-D",          "data",      "-U", "postgres", "-A", "trust",
                                "--encoding=UTF8", locale_flag(), "--no-sync", NULL};
    pid_t pid;
    int status;
    /* Killed, it can't tell its own children, but they end when what they read from it does. */
    int r = private_server_spawn(server, argv, SIGKILL, &pid, e);
    if (r < 0)
        return r;
    r = subprocess_wait(pid, server->signals, clock_monotonic_ms() + PRIVATE_SERVER_START_MS, &status);
    if (r == -EINTR || r == -ETIMEDOUT)
        subprocess_end_session(pid, server->signals);
    if (r == -EINTR)
        return error_set(e, -ECANCELED, "stopped");
    if (r == 0 && status == 0)
        return 0;
    private_server_print_log(server);
    return error_set(e, -ENOTCONN, "PostgreSQL's initdb failed (its last words are above)");
}

/* The eighth line of this file says how far the server is (pg_ctl looks there, too). */
static int is_ready(const struct private_server *server)
{
    char path[PATH_MAX + 32], text[1024], *rest = text, *line = NULL;
    snprintf(path, sizeof path, "%s/data/postmaster.pid", server->home);
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

static int start_server(struct private_postgres *pg, struct error *e)
{
    static const char port[] = "port=" PORT;
    char sockets[PATH_MAX + 32];
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", pg->server.socket_folder);
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
    return private_server_spawn(&pg->server, argv, SIGQUIT, &pg->server.pid, e);
}

static void read_version(struct private_postgres *pg)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/data/PG_VERSION", pg->server.home);
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
    *pg = (struct private_postgres){0};
    int r = find_programs(pg, e);
    if (r == 0)
        r = private_server_prepare(&pg->server, &kind, folder, signals, e);
    if (r == 0)
        snprintf(pg->url, sizeof pg->url, "postgresql://postgres@/postgres?host=%s&port=" PORT,
                 pg->server.socket_folder);
    if (r == 0)
        r = make_cluster(pg, e);
    if (r == 0)
        r = start_server(pg, e);
    if (r == 0)
        r = private_server_await(&pg->server, is_ready, e);
    if (r == 0)
        read_version(pg);
    else
        private_server_stop(&pg->server);
    return r;
}
