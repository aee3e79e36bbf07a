#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/cache_all.h"

static int checksum;

static void print_summary(struct report *r)
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

static int run(struct cli *cli)
{
    struct error e;
    struct job job;
    struct report report;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);

    struct cache_all_options options = {.collections = cli_collections(cli), .checksum = checksum};
    cache_all_init(&job, store, report_problem, &report);
    report_begin(&report, cli, &job);
    int r = cache_all_run(&job, &options);
    if (r == 0 && !cli->json)
        print_summary(&report);
    int code = report_end(&report, CACHE_ALL_FAILED);
    job_release(&job);
    free((void *)options.collections);
    return code;
}

static const struct cli_option options[] = {
    {"checksum", CLI_FLAG, &checksum, 0, 0, "read every file, even where size and modification time are unchanged"},
    {0},
};

const struct command command_cache_all = {
    .name = "cache-all",
    .arguments = "",
    .summary = "Store every image in the media folder that is not stored yet",
    .details = "Files whose size and modification time are those of their row are not read. Files that are not images\n"
               "and are not called so are passed over.",
    .options = options,
    .run = run,
};
