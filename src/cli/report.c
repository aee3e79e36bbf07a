#include "cli/report.h"

#include <stdio.h>

#include "api/describe.h"
#include "base/clock.h"
#include "cli/output.h"

/* More problems than this are counted and no longer listed in JSON. */
#define ERRORS_LISTED 1000

void report_problem(void *arg, const struct image_key *key, const struct error *why)
{
    struct report *r = arg;
    if (!r->errors) {
        progress_clear_line();
        cli_fail_image(key, why);
        return;
    }
    if (json_array_size(r->errors) < ERRORS_LISTED)
        json_array_append_new(r->errors, describe_problem(key, why));
}

void report_begin(struct report *r, struct cli *cli, struct job *job)
{
    *r = (struct report){.cli = cli, .job = job, .started_ms = clock_monotonic_ms()};
    job->dry_run = job->dry_run || cli->dry_run;
    if (cli->json)
        r->errors = json_array();
    r->progress = progress_start(job);
}

double report_seconds(const struct report *r)
{
    return (double)(clock_monotonic_ms() - r->started_ms) / 1000;
}

static json_t *counters(struct report *r)
{
    json_t *object = describe_job(r->job);
    json_object_set_new(object, "errors", r->errors);
    if (r->files)
        json_object_set_new(object, "files", r->files);
    if (r->more)
        json_object_update(object, r->more);
    json_decref(r->more);
    if (r->job->failure.code)
        json_object_set_new(object, "failure", json_string(r->job->failure.text));
    return object;
}

int report_end(struct report *r, int failed)
{
    progress_stop(r->progress);
    int code = failed >= 0 && job_counted(r->job, failed) ? CLI_FAILED : CLI_OK;
    if (r->cli->json)
        output_json(counters(r));
    if (r->job->failure.code)
        code = cli_fail(&r->job->failure);
    return code;
}

int report_run(struct cli *cli, const struct report_job *what)
{
    struct error e;
    struct job job;
    struct report report;
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    what->init(&job, store, report_problem, &report);
    report_begin(&report, cli, &job);
    if (what->run(&job, cli) == 0 && !cli->json)
        what->summary(&report);
    int code = report_end(&report, what->failed);
    if (code == CLI_OK && what->also_failed && job_counted(&job, what->also_failed))
        code = CLI_FAILED;
    job_release(&job);
    return code;
}
