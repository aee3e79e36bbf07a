/* Runs an app and outlives it: the last file that it wrote is stored when we end. */
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/address.h"
#include "cli/child_command.h"
#include "cli/commands.h"
#include "cli/service.h"
#include "config/config.h"
#include "process/supervise.h"

#define ALONE_MS 2000 /* for processes that the app left, to end by themselves, when nobody asked them to */

static int no_migrate;

/* Half of the time left is for what the app has left running: it may still be writing. */
static void end_rest(struct stop_signals *signals, int64_t deadline_ms)
{
    int64_t now_ms = clock_monotonic_ms(), kill_ms = now_ms + (deadline_ms - now_ms) / 2;
    int64_t ask_ms = now_ms + ALONE_MS < kill_ms ? now_ms + ALONE_MS : now_ms;
    subprocess_end_others(signals, signals->first ? now_ms : ask_ms, kill_ms);
    supervise_reap();
}

/* The child's whole life. Returns its exit code. */
static int run_child(struct child_command *command, struct stop_signals *signals)
{
    pid_t pid;
    int status;
    command->session = supervise_session();
    int code = child_command_start(command, signals, &pid);
    if (code)
        return code;
    if (supervise(pid, command->session, signals, &status) < 0)
        return CLI_FAILED;
    code = subprocess_code(status);
    log_event(LOG_INFO, "app ended", LOG_INT("code", code));
    return code;
}

static int run_with(struct cli *cli, struct child_command *command, struct stop_signals *signals, unsigned parts)
{
    struct error e;
    struct service *service;
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    int code = service_start(&service, store, parts, signals);
    if (code)
        return code;
    service_announce(service);
    service_hold(service);
    code = stop_signals_asked(signals) ? 128 + signals->first : run_child(command, signals);
    int64_t deadline_ms = clock_monotonic_ms() + cli->config->shutdown_timeout_s * (int64_t)1000;
    end_rest(signals, deadline_ms);
    return service_end(service, deadline_ms, code);
}

static int run_run(struct cli *cli)
{
    struct child_command command;
    struct stop_signals signals;
    struct error e;
    int chosen;
    if (cli->argc == 0)
        return cli_usage(cli, "needs a command: perdura run -- COMMAND...");
    int code = child_command_find(&command, cli);
    if (code)
        return code;
    subprocess_standard_descriptors();
    if (stop_signals_open(&signals, &e) < 0 || stop_signals_add_others(&signals, &e) < 0) {
        code = cli_fail(&e);
    } else if (address_for_run(cli->config, &chosen, &e) < 0) {
        code = cli_fail_settings(&e);
    } else {
        subprocess_adopt();
        code = run_with(cli, &command, &signals,
                        SERVICE_RESTORE | (no_migrate ? 0 : SERVICE_MIGRATE) | (chosen ? SERVICE_HTTP_OPTIONAL : 0));
    }
    child_command_release(&command);
    return code;
}

static const struct cli_option options[] = {
    {"no-migrate", CLI_FLAG, &no_migrate, 0, 0, "do not update the tables"},
    {0},
};

const struct command command_run = {
    .name = "run",
    .arguments = "-- COMMAND...",
    .summary = "Run an app and make its folders durable: `serve` around COMMAND",
    .details =
        "Updates the tables, restores missing files (PERDURA_RESTORE), starts COMMAND, and stores every image that it\n"
        "writes. Signals are passed to COMMAND. When it has ended, processes that it left behind are ended too, and "
        "the\n"
        "remaining files are stored within PERDURA_SHUTDOWN_TIMEOUT. The exit code is that of COMMAND (128 + the "
        "number\n"
        "of the signal that ended it), 127 or 126 if it cannot be run, and 75 instead of 0 if files could not be "
        "stored;\n"
        "these are named. PORT is passed to COMMAND: Perdura listens on PERDURA_PORT, or on 127.0.0.1:8080.",
    .options = options,
    .leaves = "PORT",
    .lacks = CLI_NO_JSON | CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_run,
};
