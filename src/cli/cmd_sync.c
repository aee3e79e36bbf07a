#include <stdio.h>
#include <stdlib.h>

#include "api/describe_sync.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "config/config.h"
#include "job/sync.h"
#include "store/copies_on_disk.h"

static int full_sync, clean_cache, stats;
static long max_age = -1;

static void print_moved(void *arg, const struct upload *u)
{
    (void)arg;
    progress_clear_line();
    printf("synced %s -> %s: %s\n", u->name, u->collection, u->key);
}

static void print_summary(struct job *job)
{
    char synced[OUTPUT_SIZE], bytes[OUTPUT_SIZE], waiting[OUTPUT_SIZE], failed[OUTPUT_SIZE];
    printf("%s %s uploads (%s), %s wait for their buckets, %s failed\n", job->dry_run ? "would sync" : "synced",
           output_number(synced, job_counted(job, SYNC_SYNCED)), output_bytes(bytes, atomic_load(&job->bytes)),
           output_number(waiting, job_counted(job, SYNC_WAITING)),
           output_number(failed, job_counted(job, SYNC_FAILED)));
}

static int age_in_days(const struct cli *cli)
{
    return max_age >= 0 ? (int)max_age : cli->config->copy_days;
}

static int clean_copies(struct cli *cli, struct store_tally *copies)
{
    struct error e;
    int r = copies_on_disk_clean(cli->config, age_in_days(cli), cli->dry_run, copies, &e);
    return r < 0 ? cli_fail(&e) : CLI_OK;
}

static void print_copies(const struct cli *cli, const struct store_tally *copies)
{
    char images[OUTPUT_SIZE], bytes[OUTPUT_SIZE];
    printf("%s %s cached copies (%s) older than %d days\n", cli->dry_run ? "would remove" : "removed",
           output_number(images, copies->images), output_bytes(bytes, copies->bytes), age_in_days(cli));
}

static json_t *describe_copies(const struct store_tally *copies)
{
    return json_pack("{s:I, s:I}", "copies_removed", (json_int_t)copies->images, "copies_bytes",
                     (json_int_t)copies->bytes);
}

static int run_clean(struct cli *cli)
{
    struct store_tally copies;
    int code = clean_copies(cli, &copies);
    if (!cli->json) {
        print_copies(cli, &copies);
        return code;
    }
    json_t *body = describe_copies(&copies);
    json_object_set_new(body, "dry_run", json_boolean(cli->dry_run));
    output_json(body);
    return code;
}

static void print_count(const char *name, const struct uploads_count *uploads, const struct store_tally *copies)
{
    char pending[OUTPUT_SIZE], failed[OUTPUT_SIZE], bytes[OUTPUT_SIZE], n[OUTPUT_SIZE], copied[OUTPUT_SIZE];
    printf("%-16s %s uploads pending, %s failed (%s); %s cached copies (%s)\n", name,
           output_number(pending, uploads->pending), output_number(failed, uploads->failed),
           output_bytes(bytes, uploads->bytes), output_number(n, copies->images), output_bytes(copied, copies->bytes));
    if (*uploads->why)
        printf("%-16s last problem: %s\n", "", uploads->why);
}

static int run_stats(struct cli *cli, struct store *store)
{
    struct error e;
    struct describe_sync *found = malloc(sizeof *found);
    if (!found || describe_sync(store, found, &e) < 0) {
        if (!found)
            error_set(&e, -1, "out of memory");
        free(found);
        return cli_fail(&e);
    }
    if (cli->json) {
        output_json(describe_sync_describe(found));
    } else {
        for (int i = 0; i < found->len; i++)
            print_count(found->collections[i].name, &found->collections[i].uploads, &found->collections[i].copies);
        print_count("all", &found->uploads.all, &found->copies);
    }
    free(found);
    return CLI_OK;
}

/* With --full-sync, also what the daily cleaning does to copies and completed uploads. */
static int run_once(struct cli *cli, struct store *store)
{
    struct job job;
    struct report report;
    struct store_tally copies = {0};
    struct error e;
    int64_t forgotten = 0;
    int cleaned = CLI_OK;
    sync_init(&job, store, report_problem, &report);
    report_begin(&report, cli, &job);
    int r = sync_run(&job, &(struct sync_options){.even_if_not_due = 1, .told = cli->json ? NULL : print_moved});
    if (r == 0 && !cli->json)
        print_summary(&job);
    if (full_sync && r == 0) {
        cleaned = clean_copies(cli, &copies);
        if (!cli->dry_run && uploads_purge(store, &forgotten, &e) < 0)
            cleaned = cli_fail(&e);
        if (cli->json)
            report.more = describe_copies(&copies);
        else
            print_copies(cli, &copies);
    }
    int waiting = job_counted(&job, SYNC_WAITING) > 0;
    int code = report_end(&report, SYNC_FAILED);
    job_release(&job);
    return code ? code : waiting ? CLI_UNREACHABLE : cleaned;
}

static int run_sync(struct cli *cli)
{
    struct error e;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (full_sync + clean_cache + stats > 1)
        return cli_usage(cli, "takes one of --full-sync, --clean-cache, --stats");
    if (max_age >= 0 && !full_sync && !clean_cache)
        return cli_usage(cli, "--max-age goes with --clean-cache or --full-sync");
    if (clean_cache)
        return run_clean(cli);
    struct store *store = cli_store(cli, &e);
    if (!store || (!stats && cli->config->image_origins_len && sync_check_settings(cli->config, &e) < 0))
        return cli_fail_settings(&e);
    if (!stats && !cli->config->image_origins_len)
        fprintf(stderr, "perdura: PERDURA_ORIGINS names no bucket that uploads could be moved to\n");
    return stats ? run_stats(cli, store) : run_once(cli, store);
}

static const struct cli_option options[] = {
    {"full-sync", CLI_FLAG, &full_sync, 0, 0, "also remove expired copies and old records of completed uploads"},
    {"clean-cache", CLI_FLAG, &clean_cache, 0, 0, "only remove cached copies older than --max-age"},
    {"max-age", CLI_NUMBER, &max_age, 0, 36500, "days since a copy was fetched (PERDURA_COPY_DAYS)"},
    {"stats", CLI_FLAG, &stats, 0, 0, "only show pending uploads and cached copies"},
    {0},
};

const struct command command_sync_temp_images = {
    .name = "sync-temp-images",
    .arguments = "",
    .summary = "Move uploads to their buckets",
    .details =
        "Includes uploads that failed a moment ago. Each upload is written once, verified, and marked as completed,\n"
        "however many instances do so at the same time. Exit code 3: a bucket cannot be reached, and its uploads wait.",
    .options = options,
    .lacks = CLI_NO_COLLECTION,
    .run = run_sync,
};
