#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/fsck.h"

static int run(struct cli *cli)
{
    struct error e;
    struct job job;
    struct report report;
    char sound[OUTPUT_SIZE], linked[OUTPUT_SIZE], damaged[OUTPUT_SIZE];
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (cli->collection)
        return cli_usage(cli, "works on all collections at once");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);

    fsck_init(&job, store, report_problem, &report);
    report_begin(&report, cli, &job);
    int r = fsck_run(&job);
    if (r == 0 && !cli->json)
        printf("%s sound, %s kept elsewhere, %s damaged\n", output_number(sound, job_counted(&job, FSCK_SOUND)),
               output_number(linked, job_counted(&job, FSCK_LINKED)),
               output_number(damaged, job_counted(&job, FSCK_DAMAGED)));
    int code = report_end(&report, FSCK_DAMAGED);
    job_release(&job);
    return code;
}

const struct command command_fsck = {
    .name = "fsck",
    .arguments = "",
    .summary = "Read every stored image and compare it with its sha256",
    .details = "Damaged ones are named. `perdura put` of an intact copy mends them.",
    .run = run,
};
