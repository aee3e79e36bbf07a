#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "job/describe.h"
#include "migrate/migrate.h"
#include "store/store.h"

struct printer {
    struct cli *cli;
    const char *verb;
    int count;
    json_t *list;
};

static void print_entry(void *arg, const struct migrate_entry *entry)
{
    static const char *const states[] = {"pending", "applied", "changed", "unknown"};
    struct printer *p = arg;
    char when[CLOCK_ISO_SIZE];
    p->count++;
    if (p->cli->json)
        json_array_append_new(p->list,
                              json_pack("{s:i, s:s, s:s, s:o}", "version", entry->version, "name", entry->name, "state",
                                        states[entry->state], "applied_at", describe_time(entry->applied_us)));
    else if (*p->verb)
        printf("%s %s\n", p->verb, entry->name);
    else
        printf("%-28s %-8s %s\n", entry->name, states[entry->state],
               entry->applied_us ? clock_iso(when, entry->applied_us) : "");
}

/* The number behind `down`. 0: it is none. */
static int down_count(const struct cli *cli)
{
    if (cli->argc != 2)
        return 0;
    if (strcmp(cli->argv[1], "all") == 0)
        return 1 << 20;
    char *end;
    long n = strtol(cli->argv[1], &end, 10);
    return *end || n < 1 || n > 1 << 20 ? 0 : (int)n;
}

static int run(struct cli *cli)
{
    const char *what = cli->argc ? cli->argv[0] : "up";
    enum migrate_mode mode = cli->dry_run ? MIGRATE_DRY_RUN : MIGRATE_DO;
    struct printer printer = {.cli = cli, .verb = ""};
    struct error e;
    int r, up = strcmp(what, "up") == 0, down = strcmp(what, "down") == 0;
    if (!up && !down && strcmp(what, "status") != 0)
        return cli_usage(cli, "\"%s\" is none of up, down, status", what);
    if (down && !down_count(cli))
        return cli_usage(cli, "down needs the number of migrations to take back, or `all`");
    if (!down && cli->argc > 1)
        return cli_usage(cli, "%s takes no argument", what);
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);

    printer.list = cli->json ? json_array() : NULL;
    if (up) {
        printer.verb = cli->dry_run ? "would apply" : "applied";
        r = migrate_up(store_pool(store), mode, print_entry, &printer, &e);
    } else if (down) {
        printer.verb = cli->dry_run ? "would take back" : "took back";
        r = migrate_down(store_pool(store), down_count(cli), mode, print_entry, &printer, &e);
    } else {
        r = migrate_status(store_pool(store), print_entry, &printer, &e);
    }
    if (cli->json)
        output_json(printer.list);
    else if (r == 0 && up && !printer.count)
        printf("the database is up to date\n");
    return r < 0 ? cli_fail(&e) : CLI_OK;
}

const struct command command_migrate = {
    .name = "migrate",
    .arguments = "[up | down N | down all | status]",
    .summary = "Create Perdura's tables in the database, or bring them up to date",
    .details =
        "Any number of instances may run it at once. `down N` takes the newest N back, and with them what their\n"
        "tables held.",
    .lacks = CLI_NO_COLLECTION,
    .run = run,
};
