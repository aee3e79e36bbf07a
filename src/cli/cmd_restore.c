#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "job/restore.h"

static int all, cleaned_up, force;
static long parallelism;

static void print_summary(const struct report *r)
{
    struct job *job = r->job;
    if (cleaned_up)
        printf("%s %lld images out of the trash\n", job->dry_run ? "would take" : "took",
               (long long)atomic_load(&job->done));
    char restored[OUTPUT_SIZE], bytes[OUTPUT_SIZE], present[OUTPUT_SIZE], n[OUTPUT_SIZE];
    printf("%s %s files (%s) in %.1f s, %s were there", job->dry_run ? "would restore" : "restored",
           output_number(restored, job_counted(job, RESTORE_RESTORED)), output_bytes(bytes, atomic_load(&job->bytes)),
           report_seconds(r), output_number(present, job_counted(job, RESTORE_PRESENT)));
    if (job_counted(job, RESTORE_NEWER))
        printf(", %s newer on disk", output_number(n, job_counted(job, RESTORE_NEWER)));
    printf(", %s failed\n", output_number(n, job_counted(job, RESTORE_FAILED)));
}

static struct image_key *keys_of(const struct cli *cli)
{
    struct image_key *keys = calloc((size_t)cli->argc + 1, sizeof *keys);
    for (int i = 0; keys && i < cli->argc; i++)
        keys[i] = (struct image_key){cli_one_collection(cli), cli->argv[i]};
    return keys;
}

static int run_job(struct job *job, const struct cli *cli)
{
    struct image_key *keys = all || cleaned_up ? NULL : keys_of(cli);
    struct restore_options options = {.keys = keys,
                                      .keys_len = cli->argc,
                                      .collections = cli_collections(cli),
                                      .cleaned_up = cleaned_up,
                                      .force = force,
                                      .threads = (int)parallelism};
    int r = restore_run(job, &options);
    free(keys);
    free((void *)options.collections);
    return r;
}

static int run_restore(struct cli *cli)
{
    static const struct report_job job = {restore_init, run_job, print_summary, RESTORE_FAILED, 0};
    if (!!all + !!cleaned_up + !!cli->argc != 1)
        return cli_usage(cli, "name the images to restore, or say --all or --cleaned-up");
    return report_run(cli, &job);
}

static const struct cli_option options[] = {
    {"all", CLI_FLAG, &all, 0, 0, "every stored image, the most recently used first"},
    {"cleaned-up", CLI_FLAG, &cleaned_up, 0, 0, "every image that the cleaning moved into the trash"},
    {"force", CLI_FLAG, &force, 0, 0, "replace files that are newer than what is stored"},
    {"parallelism", CLI_NUMBER, &parallelism, 1, 100, "connections to use (PERDURA_DB_POOL less one)"},
    {0},
};

const struct command command_restore = {
    .name = "restore",
    .arguments = "[PATH...]",
    .summary = "Restore stored images to disk",
    .details =
        "Files that exist and are identical are skipped. A named image that is in the trash leaves it; --cleaned-up\n"
        "restores all images that nobody deleted, and that the cleaning moved into the trash because they were not "
        "used.",
    .options = options,
    .run = run_restore,
};
