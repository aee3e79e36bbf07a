#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "job/describe.h"

static void print_text(const struct store_status *s)
{
    char n[OUTPUT_SIZE], b[OUTPUT_SIZE], tn[OUTPUT_SIZE], tb[OUTPUT_SIZE], when[CLOCK_ISO_SIZE];
    struct store_status_collection sum = describe_total(s);
    printf("persisted  %s images, %s\n", output_number(n, sum.images), output_bytes(b, sum.bytes));
    printf("trash      %s images, %s\n", output_number(tn, sum.trash_images), output_bytes(tb, sum.trash_bytes));
    printf("database   PostgreSQL %s, %s on its disk, migration %lld\n", s->server_version,
           output_bytes(b, s->stored_bytes), (long long)s->migration);
    if (s->collections_len > 1)
        printf("\n");
    for (int i = 0; s->collections_len > 1 && i < s->collections_len; i++)
        printf("%-16s %s images, %s\n", s->collections[i].name, output_number(n, s->collections[i].images),
               output_bytes(b, s->collections[i].bytes));
    if (s->jobs_len)
        printf("\n");
    for (int i = 0; i < s->jobs_len; i++)
        printf("last %-10s %s  %s  %s\n", s->jobs[i].kind, clock_iso(when, s->jobs[i].finished_us), s->jobs[i].state,
               s->jobs[i].result);
}

static int run(struct cli *cli)
{
    struct store_status status;
    struct error e;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    if (store_status(store, &status, &e) < 0)
        return cli_fail(&e);
    if (cli->json)
        output_json(describe_status(&status));
    else
        print_text(&status);
    return CLI_OK;
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "Say how many images are stored, and what the last jobs did",
    .run = run,
};
