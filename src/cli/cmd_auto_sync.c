#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "client/db.h"
#include "config/config.h"
#include "job/schedule.h"
#include "process/stop_signals.h"

#define END_MS 200 /* for a database or a bucket to let go of us after the deadline */

static int as_daemon;
static long interval, max_iterations;

static atomic_int last_code;

static void print_moved(void *arg, const struct upload *u)
{
    (void)arg;
    printf("synced %s -> %s: %s\n", u->name, u->collection, u->key);
    fflush(stdout);
}

static void print_round(void *arg, struct job *job, int more)
{
    char now[CLOCK_ISO_SIZE], summary[SYNC_SUMMARY_SIZE];
    int code = db_unavailable(job->failure.code) ? CLI_UNREACHABLE
               : job->failure.code               ? CLI_FAILED
               : job_counted(job, SYNC_FAILED)   ? CLI_FAILED
               : job_counted(job, SYNC_WAITING)  ? CLI_UNREACHABLE
                                                 : CLI_OK;
    atomic_store(&last_code, code);
    if (as_daemon)
        return;
    printf("%s %s", clock_iso(now, clock_realtime_us()),
           job->failure.code ? job->failure.text : sync_summary(summary, job));
    if (more)
        printf("; the next one in %ld s", *(const long *)arg);
    printf("\n");
    fflush(stdout);
}

static int sync_until_told(struct cli *cli, struct store *store, struct stop_signals *signals, int wake_fd)
{
    struct schedule *schedule;
    struct error e;
    const struct schedule_options how = {.store = store,
                                         .interval_s = (int)interval,
                                         .rounds = max_iterations,
                                         .told = as_daemon ? NULL : print_moved,
                                         .ended = print_round,
                                         .arg = &interval,
                                         .wake_fd = wake_fd};
    int r = schedule_start(&schedule, &how);
    if (r < 0) {
        error_set(&e, r, "no thread: %s", strerror(-r));
        return cli_fail(&e);
    }
    uint64_t ended = 0;
    while (!stop_signals_asked(signals) && read(wake_fd, &ended, sizeof ended) < 0)
        (void)stop_signals_wait_or(signals, wake_fd, INT64_MAX);
    int64_t deadline_ms = clock_monotonic_ms() + cli->config->shutdown_timeout_s * INT64_C(1000);
    if (schedule_stop(schedule, deadline_ms) < 0) { /* what it holds is for the kernel to clear away */
        fflush(NULL);
        _exit(CLI_FAILED);
    }
    return ended ? atomic_load(&last_code) : CLI_OK;
}

static int run_auto_sync(struct cli *cli)
{
    struct stop_signals signals;
    struct error e;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (!interval)
        interval = cli->config->sync_interval_s;
    if (stop_signals_open(&signals, &e) < 0)
        return cli_fail(&e);
    struct store *store = cli_store(cli, &e);
    if (!store || (cli->config->image_origins_len && sync_check_settings(cli->config, &e) < 0))
        return cli_fail_settings(&e);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) {
        error_set(&e, -errno, "no eventfd: %s", strerror(errno));
        return cli_fail(&e);
    }
    int code = sync_until_told(cli, store, &signals, wake_fd);
    close(wake_fd);
    return code;
}

static const struct cli_option options[] = {
    {"daemon", CLI_FLAG, &as_daemon, 0, 0, "print nothing but the log, on stderr"},
    {"interval", CLI_NUMBER, &interval, 1, 86400, "seconds from one sync to the next (PERDURA_SYNC_INTERVAL)"},
    {"max-iterations", CLI_NUMBER, &max_iterations, 1, 1000000000, "end after this many syncs"},
    {0},
};

const struct command command_auto_sync = {
    .name = "auto-sync",
    .arguments = "",
    .summary = "Move uploads to their buckets periodically, and clean up once a day",
    .details =
        "Does a part of what `serve` and `run` do, for a container of its own, in the foreground. SIGTERM ends it.\n"
        "With --max-iterations, the exit code is that of the last sync: 1 when an upload failed, 3 when a bucket\n"
        "cannot be reached.",
    .options = options,
    .lacks = CLI_NO_JSON | CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_auto_sync,
};
