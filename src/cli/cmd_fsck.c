#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/fsck.h"

static void print_summary(const struct report *r)
{
    char sound[OUTPUT_SIZE], linked[OUTPUT_SIZE], damaged[OUTPUT_SIZE], unreachable[OUTPUT_SIZE];
    printf("%s sound, %s kept elsewhere, %s damaged", output_number(sound, job_counted(r->job, FSCK_SOUND)),
           output_number(linked, job_counted(r->job, FSCK_LINKED)),
           output_number(damaged, job_counted(r->job, FSCK_DAMAGED)));
    if (job_counted(r->job, FSCK_UNREACHABLE))
        printf(", %s unreachable", output_number(unreachable, job_counted(r->job, FSCK_UNREACHABLE)));
    printf("\n");
}

static int run_job(struct job *job, const struct cli *cli)
{
    (void)cli;
    return fsck_run(job);
}

static int run_fsck(struct cli *cli)
{
    static const struct report_job job = {fsck_init, run_job, print_summary, FSCK_DAMAGED, FSCK_UNREACHABLE};
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    return report_run(cli, &job);
}

const struct command command_fsck = {
    .name = "fsck",
    .arguments = "",
    .summary = "Verify every stored image against its sha256",
    .details = "Names damaged and unreachable images. `perdura put` of an intact copy repairs a damaged image.",
    .lacks = CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_fsck,
};
