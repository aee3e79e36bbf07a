#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/describe.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "config/config.h"
#include "job/recount.h"
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

static int force;

/* How long an instance that migrates, or a transaction that holds a lock, is waited for. */
#define PATIENCE_MS 120000

static int repair(struct store *store, struct error *e)
{
    int r = store_advance_sequences(store, e);
    return r < 0 ? r : recount(store, e);
}

static int up(struct cli *cli, struct store *store, const struct migrate_options *options, struct printer *printer,
              struct error *e)
{
    printer->verb = cli->dry_run ? "would apply" : "applied";
    int r = cli->dry_run ? 0 : correct_paths(store, e);
    if (r == 0)
        r = migrate_up(store_pool(store), options, print_entry, printer, e);
    if (r == -ENOTSUP) { /* the program works without */
        fprintf(stderr, "perdura: warning: %s\n", e->text);
        r = 0;
    }
    return r < 0 || cli->dry_run ? r : repair(store, e);
}

static int down(struct cli *cli, struct store *store, const struct migrate_options *options, struct printer *printer,
                struct error *e)
{
    struct migrate_loss loss = {0};
    char what[ERROR_TEXT_MAX];
    printer->verb = cli->dry_run ? "would roll back" : "rolled back";
    int r = migrate_down(store_pool(store), down_count(cli), options, print_entry, printer, &loss, e);
    migrate_loss_text(&loss, what, sizeof what);
    if (r == 0 && loss.len && !cli->json)
        printf("%s: %s\n", cli->dry_run ? "would drop" : "dropped", what);
    return r;
}

static int run_migrate(struct cli *cli)
{
    const char *what = cli->argc ? cli->argv[0] : "up";
    struct printer printer = {.cli = cli, .verb = ""};
    struct error e;
    int r, is_up = strcmp(what, "up") == 0, is_down = strcmp(what, "down") == 0;
    if (!is_up && !is_down && strcmp(what, "status") != 0)
        return cli_usage(cli, "\"%s\" is none of up, down, status", what);
    if (is_down && !down_count(cli))
        return cli_usage(cli, "down needs the number of migrations to roll back, or `all`");
    if (!is_down && cli->argc > 1)
        return cli_usage(cli, "%s takes no argument", what);
    if (!is_down && force)
        return cli_usage(cli, "--force is for down");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);

    const struct migrate_options options = {.mode = cli->dry_run ? MIGRATE_DRY_RUN : MIGRATE_DO,
                                            .parts = MIGRATE_TABLES | MIGRATE_INDEXES,
                                            .force = force,
                                            .direct_url = cli->config->listen_url,
                                            .deadline_ms = clock_monotonic_ms() + PATIENCE_MS};
    printer.list = cli->json ? json_array() : NULL;
    if (is_up)
        r = up(cli, store, &options, &printer, &e);
    else if (is_down)
        r = down(cli, store, &options, &printer, &e);
    else
        r = migrate_status(store_pool(store), print_entry, &printer, &e);
    if (cli->json)
        output_json(printer.list);
    else if (r == 0 && is_up && !printer.count)
        printf("the database is up to date\n");
    return r < 0 ? cli_fail(&e) : CLI_OK;
}

static const struct cli_option own_options[] = {
    {"force", CLI_FLAG, &force, 0, 0, "down: also drop stored images"},
    {0},
};

const struct command command_migrate = {
    .name = "migrate",
    .arguments = "[up | down N | down all | status]",
    .summary = "Create Perdura's tables in the database, or update them",
    .details = "Several instances may run it at the same time. `down N` rolls back the newest N migrations. It refuses "
               "to drop\n"
               "images, images in the trash or uploads, and prints how many there are; --force drops them.",
    .options = own_options,
    .lacks = CLI_NO_COLLECTION,
    .run = run_migrate,
};
