#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/migrate_storage.h"

static const char *to;

static void print_summary(const struct report *r)
{
    struct job *job = r->job;
    char moved[OUTPUT_SIZE], bytes[OUTPUT_SIZE], placed[OUTPUT_SIZE], other[OUTPUT_SIZE], failed[OUTPUT_SIZE];
    printf("%s %s images (%s) to %s in %.1f s, %s are where they belong, %s failed\n",
           job->dry_run ? "would move" : "moved", output_number(moved, job_counted(job, MIGRATE_STORAGE_MOVED)),
           output_bytes(bytes, atomic_load(&job->bytes)), strcmp(to, "s3") == 0 ? "object storage" : "the database",
           report_seconds(r), output_number(placed, job_counted(job, MIGRATE_STORAGE_IN_PLACE)),
           output_number(failed, job_counted(job, MIGRATE_STORAGE_FAILED)));
    if (job_counted(job, MIGRATE_STORAGE_OTHER))
        printf("%s images are %s PERDURA_INLINE_MAX and stay: `--to %s` moves them\n",
               output_number(other, job_counted(job, MIGRATE_STORAGE_OTHER)),
               strcmp(to, "s3") == 0 ? "not above" : "above", strcmp(to, "s3") == 0 ? "db" : "s3");
}

static int run_job(struct job *job, const struct cli *cli)
{
    (void)cli;
    return migrate_storage_run(job, strcmp(to, "s3") == 0 ? MIGRATE_STORAGE_TO_S3 : MIGRATE_STORAGE_TO_DB);
}

static int run_migrate_storage(struct cli *cli)
{
    static const struct report_job job = {migrate_storage_init, run_job, print_summary, MIGRATE_STORAGE_FAILED, 0};
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (!to || (strcmp(to, "db") != 0 && strcmp(to, "s3") != 0))
        return cli_usage(cli, "say where to: --to db or --to s3");
    return report_run(cli, &job);
}

static const struct cli_option options[] = {
    {"to", CLI_TEXT, &to, 0, 0,
     "db: what is not above PERDURA_INLINE_MAX, into rows; s3: what is above, into the bucket"},
    {0},
};

const struct command command_migrate_storage = {
    .name = "migrate-storage",
    .arguments = "",
    .summary = "Move images between the database and object storage",
    .details =
        "Moves each image to where PERDURA_INLINE_MAX would put it today, including images at foreign URLs. Each is\n"
        "verified against its sha256. An interrupted move continues where it ended.",
    .options = options,
    .lacks = CLI_NO_COLLECTION,
    .run = run_migrate_storage,
};
