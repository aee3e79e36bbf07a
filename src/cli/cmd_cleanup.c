#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/cleanup.h"

static long days;

static void print_summary(const struct report *r)
{
    struct job *job = r->job;
    char images[OUTPUT_SIZE], bytes[OUTPUT_SIZE];
    printf("%s into the trash: %s images (%s) not asked for in %ld days\n", job->dry_run ? "would go" : "went",
           output_number(images, job_counted(job, CLEANUP_TRASHED)),
           output_bytes(bytes, job_counted(job, CLEANUP_TRASHED_BYTES)), days);
    printf("%s for good: %s images (%s) in the trash for more than %d days\n",
           job->dry_run ? "would be deleted" : "deleted", output_number(images, job_counted(job, CLEANUP_PURGED)),
           output_bytes(bytes, job_counted(job, CLEANUP_PURGED_BYTES)), STORE_TRASH_DAYS);
    if (job_counted(job, CLEANUP_OBJECTS))
        printf("%s from object storage: %s objects that no image needs\n", job->dry_run ? "would go" : "went",
               output_number(images, job_counted(job, CLEANUP_OBJECTS)));
}

static int run_job(struct job *job, const struct cli *cli)
{
    if (!days)
        days = cli->config.cleanup_days;
    return cleanup_run(job, (int)days);
}

static int run(struct cli *cli)
{
    static const struct report_job job = {cleanup_init, run_job, print_summary, -1};
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    return report_run(cli, &job);
}

static const struct cli_option options[] = {
    {"days", CLI_NUMBER, &days, 1, 36500, "how long an image was not asked for (PERDURA_CLEANUP_DAYS)"},
    {0},
};

const struct command command_cleanup = {
    .name = "cleanup",
    .arguments = "",
    .summary = "Move images that nobody asked for in a long time into the trash",
    .details =
        "What has been in the trash for 30 days is deleted for good, and later its object. Files on disk are left\n"
        "alone. Until then `perdura restore PATH` brings an image back.",
    .options = options,
    .lacks = CLI_NO_COLLECTION,
    .run = run,
};
