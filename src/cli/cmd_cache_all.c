#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/cache_all.h"

static int checksum;

static void print_summary(const struct report *r)
{
    struct job *job = r->job;
    char cached[OUTPUT_SIZE], bytes[OUTPUT_SIZE], unchanged[OUTPUT_SIZE], n[OUTPUT_SIZE];
    printf("%s %s images (%s) in %.1f s, %s unchanged", job->dry_run ? "would cache" : "cached",
           output_number(cached, job_counted(job, CACHE_ALL_CACHED)), output_bytes(bytes, atomic_load(&job->bytes)),
           report_seconds(r), output_number(unchanged, job_counted(job, CACHE_ALL_UNCHANGED)));
    if (job_counted(job, CACHE_ALL_IN_TRASH))
        printf(", %s in the trash", output_number(n, job_counted(job, CACHE_ALL_IN_TRASH)));
    if (job_counted(job, CACHE_ALL_OLDER))
        printf(", %s older than what is stored", output_number(n, job_counted(job, CACHE_ALL_OLDER)));
    if (job_counted(job, CACHE_ALL_IGNORED))
        printf(", %s not images", output_number(n, job_counted(job, CACHE_ALL_IGNORED)));
    printf(", %s failed\n", output_number(n, job_counted(job, CACHE_ALL_FAILED)));
}

static int run_job(struct job *job, const struct cli *cli)
{
    struct cache_all_options options = {.collections = cli_collections(cli), .checksum = checksum};
    int r = cache_all_run(job, &options);
    free((void *)options.collections);
    return r;
}

static int run_cache_all(struct cli *cli)
{
    static const struct report_job job = {cache_all_init, run_job, print_summary, CACHE_ALL_FAILED, 0};
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    return report_run(cli, &job);
}

static const struct cli_option options[] = {
    {"checksum", CLI_FLAG, &checksum, 0, 0, "read every file, even where size and modification time are unchanged"},
    {0},
};

const struct command command_cache_all = {
    .name = "cache-all",
    .arguments = "",
    .summary = "Store every image in the media folder that is not stored yet",
    .details =
        "Files whose size and modification time match their row are not read. Files that are not images, and do not\n"
        "have the name of one, are skipped.",
    .options = options,
    .run = run_cache_all,
};
