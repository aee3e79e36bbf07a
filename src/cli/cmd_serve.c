#include <stdint.h>

#include "base/clock.h"
#include "cli/address.h"
#include "cli/commands.h"
#include "cli/service.h"
#include "config/config.h"
#include "process/supervise.h"

static int no_migrate;

static int serve(struct cli *cli, struct stop_signals *signals)
{
    struct error e;
    struct service *service;
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    unsigned parts = SERVICE_RESTORE | (no_migrate ? 0 : SERVICE_MIGRATE);
    int code = service_start(&service, store, parts, signals);
    if (code)
        return code;
    service_announce(service);
    while (!stop_signals_asked(signals)) {
        supervise_reap(); /* as process 1 of a container, orphans are ours */
        (void)stop_signals_wait(signals, INT64_MAX);
    }
    return service_end(service, clock_monotonic_ms() + cli->config->shutdown_timeout_s * (int64_t)1000, CLI_OK);
}

static int run_serve(struct cli *cli)
{
    struct stop_signals signals;
    struct error e;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments; `perdura run -- COMMAND` starts an app");
    subprocess_standard_descriptors();
    if (stop_signals_open(&signals, &e) < 0)
        return cli_fail(&e);
    if (address_for_serve(cli->config, &e) < 0)
        return cli_fail_settings(&e);
    return serve(cli, &signals);
}

static const struct cli_option options[] = {
    {"no-migrate", CLI_FLAG, &no_migrate, 0, 0, "do not update the tables"},
    {0},
};

const struct command command_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "Watch the folders, restore files, and serve images over HTTP",
    .details =
        "Listens on PERDURA_BIND and PERDURA_PORT (or PORT), updates the tables, restores missing files\n"
        "(PERDURA_RESTORE), and stores every image that is written. It continues through outages of PostgreSQL.\n"
        "SIGTERM ends it: the remaining files are stored within PERDURA_SHUTDOWN_TIMEOUT, or named, with exit code 75.",
    .options = options,
    .lacks = CLI_NO_JSON | CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_serve,
};
