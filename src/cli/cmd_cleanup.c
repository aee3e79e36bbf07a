#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "config/config.h"
#include "job/cleanup.h"

static long days;
static int requests_only;

static void print_summary(const struct report *r)
{
    struct job *job = r->job;
    int trash_days = store_config(job->store)->trash_days;
    char images[OUTPUT_SIZE], bytes[OUTPUT_SIZE];
    printf("%s into the trash: %s images (%s) not used for %ld days\n", job->dry_run ? "would go" : "went",
           output_number(images, job_counted(job, CLEANUP_TRASHED)),
           output_bytes(bytes, job_counted(job, CLEANUP_TRASHED_BYTES)), days);
    printf("%s for good: %s images (%s) in the trash for more than %d days\n",
           job->dry_run ? "would be deleted" : "deleted", output_number(images, job_counted(job, CLEANUP_PURGED)),
           output_bytes(bytes, job_counted(job, CLEANUP_PURGED_BYTES)), trash_days);
    if (job_counted(job, CLEANUP_OBJECTS))
        printf("%s from object storage: %s objects that no image needs\n", job->dry_run ? "would go" : "went",
               output_number(images, job_counted(job, CLEANUP_OBJECTS)));
}

static int run_job(struct job *job, const struct cli *cli)
{
    (void)cli;
    return cleanup_run(job, (int)days, requests_only ? CLEANUP_REQUESTS : CLEANUP_ALL_USES);
}

static int run_cleanup(struct cli *cli)
{
    static const struct report_job job = {cleanup_init, run_job, print_summary, -1, 0};
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (!days)
        days = cli->config->cleanup_days;
    if (!days)
        return cli_usage(cli, "needs --days N, because PERDURA_CLEANUP_DAYS is off");
    return report_run(cli, &job);
}

static const struct cli_option options[] = {
    {"days", CLI_NUMBER, &days, 1, 36500, "how long an image was not used (PERDURA_CLEANUP_DAYS)"},
    {"requests-only", CLI_FLAG, &requests_only, 0, 0, "do not look at the access times of files"},
    {0},
};

const struct command command_cleanup = {
    .name = "cleanup",
    .arguments = "",
    .summary = "Move images that were not used for a long time into the trash",
    .details =
        "A request through Perdura, or an access to the file by the app, counts as use. If access times are not\n"
        "reliable, as on a filesystem mounted with noatime, the command fails; --requests-only counts requests alone.\n"
        "Images that have been in the trash for PERDURA_TRASH_DAYS are purged, and later their objects. Files on disk\n"
        "stay. Until then, `perdura restore PATH` restores an image.",
    .options = options,
    .lacks = CLI_NO_COLLECTION,
    .run = run_cleanup,
};
