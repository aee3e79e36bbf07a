/* Syncing uploads at once, and uploads and copies in numbers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/arguments.h"
#include "api/describe_sync.h"
#include "api/jobs.h"
#include "api/routes.h"
#include "job/sync.h"

#define OUTPUT_MAX_BYTES (256 << 10)
#define PET_COLLECTION   "mascotas"

static int run_sync(struct job *job, const json_t *arguments)
{
    (void)arguments;
    return sync_run(job, &(struct sync_options){.even_if_not_due = 1});
}

/* What the command would print, a line each; what does not fit is left out. */
static int add_problems(struct buf *text, const json_t *problems)
{
    size_t i;
    json_t *problem;
    int r = 0;
    json_array_foreach(problems, i, problem)
    {
        if (r == 0)
            r = buf_addf(text, "\n%s: %s %s", json_string_value(json_object_get(problem, "collection")),
                         json_string_value(json_object_get(problem, "path")),
                         json_string_value(json_object_get(problem, "error")));
    }
    return r;
}

static json_t *answer_sync(struct job *job, const json_t *description)
{
    char summary[SYNC_SUMMARY_SIZE];
    struct buf text;
    buf_init(&text, OUTPUT_MAX_BYTES);
    int r = buf_addstr(&text, job->failure.code ? job->failure.text : sync_summary(summary, job));
    if (r == 0)
        (void)!add_problems(&text, json_object_get(description, "errors"));
    json_t *output = r == 0 ? json_string(text.data) : NULL;
    buf_release(&text);
    int success = !job->failure.code && !job_counted(job, SYNC_WAITING) && !job_counted(job, SYNC_FAILED);
    return json_pack("{s:b, s:o, s:I, s:I, s:I}", "success", success, "output", output, "synced",
                     (json_int_t)job_counted(job, SYNC_SYNCED), "waiting", (json_int_t)job_counted(job, SYNC_WAITING),
                     "failed", (json_int_t)job_counted(job, SYNC_FAILED));
}

static const struct jobs_kind sync_kind = {"sync", NULL, sync_init, run_sync, answer_sync};

void route_force_sync(struct http_transaction *x)
{
    static const struct http_argument known[] = {{"dry_run", HTTP_ARGUMENT_FLAG}, {NULL, 0}};
    json_t *arguments = http_arguments(x, known);
    if (arguments)
        jobs_start(x->service->jobs, x, &sync_kind, arguments, jobs_wants_later(x));
}

/* The numbers, to be freed. NULL: it is answered. */
static struct describe_sync *read_stats(struct http_transaction *x)
{
    struct error why;
    struct describe_sync *stats = malloc(sizeof *stats);
    int r = stats ? describe_sync(x->service->store, stats, &why) : error_set(&why, -ENOMEM, "out of memory");
    if (r == 0)
        return stats;
    http_answer_error(x, NULL, &why);
    free(stats);
    return NULL;
}

void route_cache_stats(struct http_transaction *x)
{
    struct describe_sync *stats = read_stats(x);
    if (stats)
        http_answer_json(x, 200, describe_sync_describe(stats));
    free(stats);
}

void route_pet_cache_stats(struct http_transaction *x)
{
    struct describe_sync *stats = read_stats(x);
    if (stats)
        http_answer_json(x, 200, describe_sync_describe_one(stats, PET_COLLECTION, store_config(x->service->store)));
    free(stats);
}
