#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"

static json_t *collections_json(const struct store_status *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->collections_len; i++) {
        const struct store_status_collection *c = &s->collections[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", c->name, "images",
                                              (json_int_t)c->images, "bytes", (json_int_t)c->bytes, "linked_images",
                                              (json_int_t)c->linked_images, "linked_bytes", (json_int_t)c->linked_bytes,
                                              "trash_images", (json_int_t)c->trash_images, "trash_bytes",
                                              (json_int_t)c->trash_bytes));
    }
    return list;
}

static json_t *jobs_json(const struct store_status *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->jobs_len; i++) {
        const struct store_status_job *j = &s->jobs[i];
        json_t *result = json_loads(j->result, 0, NULL);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "kind", j->kind, "state", j->state,
                                              "host", j->host, "started_at", output_time(j->started_us), "finished_at",
                                              output_time(j->finished_us), "result", result ? result : json_object()));
    }
    return list;
}

static struct store_status_collection total(const struct store_status *s)
{
    struct store_status_collection sum = {0};
    for (int i = 0; i < s->collections_len; i++) {
        sum.images += s->collections[i].images;
        sum.bytes += s->collections[i].bytes;
        sum.trash_images += s->collections[i].trash_images;
        sum.trash_bytes += s->collections[i].trash_bytes;
    }
    return sum;
}

static void print_json(const struct store_status *s)
{
    struct store_status_collection sum = total(s);
    output_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:o}", "images", (json_int_t)sum.images, "bytes",
                          (json_int_t)sum.bytes, "trash_images", (json_int_t)sum.trash_images, "trash_bytes",
                          (json_int_t)sum.trash_bytes, "stored_bytes", (json_int_t)s->stored_bytes, "server_version",
                          s->server_version, "migration", (json_int_t)s->migration, "collections", collections_json(s),
                          "jobs", jobs_json(s)));
}

static void print_text(const struct store_status *s)
{
    char n[OUTPUT_SIZE], b[OUTPUT_SIZE], tn[OUTPUT_SIZE], tb[OUTPUT_SIZE], when[CLOCK_ISO_SIZE];
    struct store_status_collection sum = total(s);
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
        print_json(&status);
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
