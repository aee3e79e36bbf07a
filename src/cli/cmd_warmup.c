#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/restore.h"
#include "job/warmup.h"

static long limit;

static void print_summary(const struct report *r)
{
    struct job *job = r->job;
    char restored[OUTPUT_SIZE], bytes[OUTPUT_SIZE], present[OUTPUT_SIZE], failed[OUTPUT_SIZE];
    printf("%s %s of the most used images (%s) in %.1f s, %s were there, %s failed\n",
           job->dry_run ? "would preload" : "preloaded", output_number(restored, job_counted(job, RESTORE_RESTORED)),
           output_bytes(bytes, atomic_load(&job->bytes)), report_seconds(r),
           output_number(present, job_counted(job, RESTORE_PRESENT) + job_counted(job, RESTORE_NEWER)),
           output_number(failed, job_counted(job, RESTORE_FAILED)));
}

static int run_job(struct job *job, const struct cli *cli)
{
    struct warmup_options options = {.collections = cli_collections(cli), .most = limit};
    int r = warmup_run(job, &options);
    free((void *)options.collections);
    return r;
}

static int run_warmup(struct cli *cli)
{
    static const struct report_job job = {warmup_init, run_job, print_summary, RESTORE_FAILED, 0};
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    return report_run(cli, &job);
}

static const struct cli_option options[] = {
    {"limit", CLI_NUMBER, &limit, 1, 1000000, "no more images than this, and never more than DEFAULT_CACHE_SIZE"},
    {0},
};

const struct command command_warmup = {
    .name = "warmup",
    .arguments = "",
    .summary = "Restore the most used images",
    .details =
        "Selects the images of each collection by its requests at this hour of the last seven days. In a peak hour of\n"
        "PERDURA_ADAPTIVE_TTL, up to PEAK_CACHE_SIZE.",
    .options = options,
    .run = run_warmup,
};
