#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "fs/safepath.h"
#include "job/check.h"

/* More files than this are counted and no longer listed in JSON. */
#define FILES_LISTED 100000

static int quick, all;

/* One line a file: the mark, the path, and for what needs words, the words. */
static void print_mark(void *arg, enum check_mark mark, const struct image_key *key, const struct error *why)
{
    struct report *report = arg;
    char path[4 * SAFEPATH_MAX + 1];
    if (mark == CHECK_SAME && !all)
        return;
    if (report->files) {
        char text[] = {(char)mark, '\0'};
        if (json_array_size(report->files) < FILES_LISTED)
            json_array_append_new(report->files,
                                  json_pack("{s:s, s:s, s:s, s:s?}", "mark", text, "collection", key->collection,
                                            "path", key->path, "why", why ? why->text : NULL));
        return;
    }
    progress_clear_line();
    int named = strcmp(key->collection, "media") != 0;
    printf("%c %s%s%s%s%s\n", mark, named ? key->collection : "", named ? ": " : "",
           printable(path, sizeof path, key->path), why ? "  " : "", why ? why->text : "");
}

static int run_check(struct cli *cli)
{
    struct error e;
    struct job job;
    struct report report;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);

    struct check_options options = {
        .collections = cli_collections(cli), .quick = quick, .mark = print_mark, .arg = &report};
    check_init(&job, store, NULL, NULL);
    report_begin(&report, cli, &job);
    if (cli->json)
        report.files = json_array();
    (void)!check_run(&job, &options);
    int64_t different = job_counted(&job, CHECK_COUNT_DISK_ONLY) + job_counted(&job, CHECK_COUNT_STORE_ONLY) +
                        job_counted(&job, CHECK_COUNT_DIFFERS) + job_counted(&job, CHECK_COUNT_ERRORS);
    int code = report_end(&report, CHECK_COUNT_ERRORS);
    if (code == CLI_OK && different)
        code = CLI_FAILED;
    if (!cli->json && !job.failure.code)
        fprintf(stderr, "%lld the same, %lld different, %lld not kept\n",
                (long long)job_counted(&job, CHECK_COUNT_SAME), (long long)different,
                (long long)job_counted(&job, CHECK_COUNT_NOT_KEPT));
    job_release(&job);
    free((void *)options.collections);
    return code;
}

static const struct cli_option options[] = {
    {"quick", CLI_FLAG, &quick, 0, 0, "compare sizes and modification times only"},
    {"all", CLI_FLAG, &all, 0, 0, "also print files that are the same"},
    {0},
};

const struct command command_check = {
    .name = "check",
    .arguments = "",
    .summary = "Compare the media folder with what is stored",
    .details =
        "Prints a line for each file:  + only on disk  - only stored  * different  ! cannot be compared or stored\n"
        ". not kept, as it is not an image  = the same (with --all). Exit code 1 for anything but = and . files.",
    .options = options,
    .lacks = CLI_NO_DRY_RUN,
    .run = run_check,
};
