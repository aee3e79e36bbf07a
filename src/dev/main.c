/* A private PostgreSQL to try Perdura with. Whatever happens to us, it goes: our end is ordered below, and the kernel
 * tells the server when we are killed; what then stays of the folder, the next run removes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/child_command.h"
#include "cli/cli.h"
#include "cli/service.h"
#include "config/config.h"
#include "dev/advice.h"
#include "dev/dev_folder.h"
#include "dev/private_postgres.h"
#include "dev/private_redis.h"
#include "dev/story.h"
#include "process/stop_signals.h"
#include "process/subprocess.h"

#define COMMAND_STOP_MS 10000 /* for COMMAND to end after it was told to */
#define LEFT_STOP_MS    3000  /* for what COMMAND has left running */

struct dev {
    struct child_command command; /* none: the story */
    struct stop_signals signals;
    struct dev_folder folder;
    struct private_postgres pg;
    struct private_redis redis; /* url "": none */
    struct config config;
    char media[PATH_MAX];     /* absolute */
    char shown[4 * PATH_MAX]; /* the folder, from the working directory where it lies beneath that */
};

static const char *dir = "./.perdura-dev";
static int keep;

static int leads_to_a_server(const char *variable)
{
    static const char *const beginnings[] = {"DATABASE_URL=",
                                             "PERDURA_DATABASE_URL=",
                                             "PERDURA_LISTEN_URL=",
                                             "SCALINGO_POSTGRESQL_URL=",
                                             "SCALINGO_REDIS_URL=",
                                             "CACHE_DRIVER=",
                                             "PG",
                                             "REDIS",
                                             "SENTINEL"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(variable, beginnings[i], strlen(beginnings[i])) == 0)
            return 1;
    return 0;
}

/* Servers of the system stay out of it: neither we nor COMMAND shall find one by chance. */
static int clear_environment(struct error *e)
{
    for (char **at = environ; at && *at;) {
        char name[64];
        size_t n = strcspn(*at, "=");
        if (!leads_to_a_server(*at) || n >= sizeof name) {
            at++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)n, *at);
        if (unsetenv(name) < 0)
            return error_set(e, -errno, "the environment can't be changed: %s", strerror(errno));
        at = environ; /* it has moved up */
    }
    return 0;
}

static void show_folder(struct dev *d)
{
    char cwd[PATH_MAX];
    const char *path = d->folder.path;
    size_t n = getcwd(cwd, sizeof cwd) ? strlen(cwd) : 0;
    if (n > 1 && strncmp(path, cwd, n) == 0 && path[n] == '/')
        path += n + 1;
    printable(d->shown, sizeof d->shown, path);
}

/* Redis is a help and no condition: without it all goes on. */
static int begin_redis(struct dev *d, struct error *e)
{
    int r = private_redis_start(&d->redis, &d->folder, &d->signals, e);
    if (r == 0 || r == -ECANCELED)
        return r;
    fprintf(stderr, "perdura: %s: dev goes on without Redis, which is optional%s\n", e->text,
            r == -ENOENT ? " (apt-get install redis-server)" : "");
    return 0;
}

/* Takes the folder, starts the servers, makes the settings. */
static int begin(struct dev *d, struct error *e)
{
    int r = dev_folder_open(&d->folder, dir, &d->signals, e);
    if (r < 0)
        return r;
    show_folder(d);
    if (!d->command.argv)
        printf("perdura-dev: private servers and a media folder, all in %s\n", d->shown);
    if (snprintf(d->media, sizeof d->media, "%s/media", d->folder.path) >= PATH_MAX)
        r = error_set(e, -ENAMETOOLONG, "the path of %.80s... is too long", d->folder.path);
    else if (mkdirat(d->folder.fd, "media", 0777) < 0)
        r = error_set(e, -errno, "%s can't be made: %s", d->media, strerror(errno));
    if (r == 0)
        r = private_postgres_start(&d->pg, &d->folder, &d->signals, e);
    if (r == 0)
        r = begin_redis(d, e);
    if (r == 0)
        r = dev_story_config(&d->config, &d->pg, &d->redis, d->media, e);
    if (r < 0) {
        private_server_stop(&d->redis.server);
        private_server_stop(&d->pg.server);
        (void)!dev_folder_close(&d->folder, DEV_FOLDER_REMOVE, NULL);
    }
    return r;
}

static int end(struct dev *d, int code)
{
    struct error e;
    config_release(&d->config);
    private_server_stop(&d->redis.server);
    private_server_stop(&d->pg.server);
    int64_t now_ms = clock_monotonic_ms();
    subprocess_end_others(&d->signals, now_ms, now_ms + LEFT_STOP_MS);
    int r = dev_folder_close(&d->folder, keep ? DEV_FOLDER_KEEP : DEV_FOLDER_REMOVE, &e);
    if (r < 0)
        cli_fail(&e);
    return r < 0 && code == CLI_OK ? CLI_FAILED : code;
}

static int wait_for_stop(struct dev *d)
{
    while (!stop_signals_asked(&d->signals)) {
        if (!private_server_running(&d->pg.server)) {
            fprintf(stderr, "perdura: PostgreSQL has ended by itself (its last words are above)\n");
            return CLI_UNREACHABLE;
        }
        if (d->redis.server.pid && !private_server_running(&d->redis.server))
            fprintf(stderr, "perdura: Redis has ended by itself (its last words are above); all goes on without it\n");
        (void)stop_signals_wait(&d->signals, INT64_MAX);
    }
    return CLI_OK;
}

/* Serves until we are asked to stop. */
static int serve(struct dev *d)
{
    struct error e;
    struct store *store;
    struct service *service;
    char images[PATH_MAX], login[SERVICE_LINK_SIZE] = "";
    if (store_open(&store, &d->config, &e) < 0)
        return cli_fail_settings(&e);
    int code = service_start(&service, store, 0, &d->signals);
    if (code == CLI_OK) {
        snprintf(images, sizeof images, "%s%s/", service_url(service), d->config.media_url);
        (void)!service_login_link(service, login);
        const struct dev_advice advice = {.pg = &d->pg,
                                          .redis = *d->redis.url ? &d->redis : NULL,
                                          .media = d->media,
                                          .url = service_url(service),
                                          .images = images,
                                          .token = d->config.api_token,
                                          .login = login};
        dev_advice_print(&advice);
        printf("\nCtrl-C here stops it all%s%s.\n", keep ? "; the folder stays: " : " and removes ", d->shown);
        code = fflush(stdout) == 0 ? wait_for_stop(d) : CLI_FAILED;
        service_stop(service, code);
    }
    store_close(store);
    return code;
}

static int run_story(struct dev *d)
{
    char media[sizeof d->shown + 8];
    snprintf(media, sizeof media, "%s/media", d->shown);
    int code = dev_story(&d->folder, &d->pg, &d->redis, &d->config, media, &d->signals);
    if (code == CLI_OK && !stop_signals_asked(&d->signals))
        code = serve(d);
    if (d->signals.first)
        printf("\nstopping PostgreSQL%s%s%s\n", d->redis.server.pid ? " and Redis" : "",
               keep ? "; kept: " : ", removing ", d->shown);
    return code;
}

/* For COMMAND. The PG* variables make a plain `psql` find the private server, too. */
static int set_environment(const struct dev *d)
{
    return setenv("DATABASE_URL", d->pg.url, 1) < 0 || setenv("PERDURA_MEDIA_ROOT", d->media, 1) < 0 ||
                   setenv("PGHOST", d->pg.server.socket_folder, 1) < 0 || setenv("PGPORT", "5432", 1) < 0 ||
                   setenv("PGUSER", "postgres", 1) < 0 || setenv("PGDATABASE", "postgres", 1) < 0 ||
                   (*d->redis.url && setenv("REDIS_URL", d->redis.url, 1) < 0)
               ? -errno
               : 0;
}

/* Hands on what we are told, unless the terminal has told COMMAND already. SIGINT is for it to obey or not; after
 * another signal it must end. */
static int wait_for_command(struct dev *d, pid_t pid)
{
    int64_t deadline_ms = INT64_MAX;
    int status, r;
    while ((r = subprocess_wait(pid, &d->signals, deadline_ms, &status)) == -EINTR) {
        subprocess_relay(pid, d->command.session, &d->signals);
        if (d->signals.latest != SIGINT && deadline_ms == INT64_MAX)
            deadline_ms = clock_monotonic_ms() + COMMAND_STOP_MS;
    }
    if (r == -ETIMEDOUT) {
        kill(pid, SIGKILL);
        while ((r = subprocess_wait(pid, &d->signals, INT64_MAX, &status)) == -EINTR)
            ;
    }
    return r < 0 ? CLI_FAILED : subprocess_code(status);
}

static int run_command(struct dev *d)
{
    struct error e;
    pid_t pid;
    int applied;
    if (dev_story_migrate(&d->config, &applied, &e) < 0)
        return cli_fail(&e);
    if (stop_signals_asked(&d->signals))
        return 128 + d->signals.first;
    if (set_environment(d) < 0) {
        fprintf(stderr, "perdura: out of memory\n");
        return CLI_FAILED;
    }
    int code = child_command_start(&d->command, &d->signals, &pid);
    return code ? code : wait_for_command(d, pid);
}

static int run_all(struct dev *d)
{
    struct error e;
    subprocess_standard_descriptors();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (clear_environment(&e) < 0 || stop_signals_open(&d->signals, &e) < 0)
        return cli_fail(&e);
    subprocess_adopt();
    int r = begin(d, &e);
    if (r == -ECANCELED && d->command.argv)
        return 128 + d->signals.first;
    if (r == -ECANCELED) {
        printf("\nstopped before it began; nothing is left\n");
        return CLI_OK;
    }
    return r < 0 ? cli_fail(&e) : end(d, d->command.argv ? run_command(d) : run_story(d));
}

static int run_dev(struct cli *cli)
{
    static struct dev d; /* too large for a stack */
    if (cli->config->origins[CONFIG_ID_database_url].source == CONFIG_FROM_FLAG ||
        cli->config->origins[CONFIG_ID_media_root].source == CONFIG_FROM_FLAG)
        return cli_usage(cli, "has a database and a media folder of its own");
    int code = child_command_find(&d.command, cli);
    if (code == 0)
        code = run_all(&d);
    child_command_release(&d.command);
    return code;
}

static const struct cli_option options[] = {
    {"dir", CLI_TEXT, &dir, 0, 0, "the folder to use instead of ./.perdura-dev: a new one, or an empty one"},
    {"keep", CLI_FLAG, &keep, 0, 0, "keep the folder; the next run removes it"},
    {0},
};

static const struct command command = {
    .name = "perdura-dev",
    .is_program = 1,
    .arguments = "[-- COMMAND...]",
    .summary = "Demonstrate Perdura with a private PostgreSQL and Redis, which are removed afterwards",
    .details =
        "Starts a private PostgreSQL and, if redis-server is installed, a private Redis on unix sockets (no port, no\n"
        "system service), writes sample images, stores them, wipes the disk, restores and compares them, then serves\n"
        "them over HTTP on a free port and prints what to try. Ctrl-C ends and removes all of it.\n"
        "With COMMAND, it runs COMMAND with DATABASE_URL, REDIS_URL and PERDURA_MEDIA_ROOT set to a migrated "
        "database,\n"
        "an empty Redis and an empty folder, and exits with its code.",
    .options = options,
    .lacks = CLI_NO_JSON | CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_dev,
};

int main(int argc, char **argv)
{
    return cli_main_alone(&command, argc, argv);
}
