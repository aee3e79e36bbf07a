/* How jobs get on, and what came of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/describe.h"
#include "api/jobs.h"
#include "api/paging.h"
#include "api/routes.h"
#include "codec/url.h"
#include "records/history.h"

static json_t *asked_for(struct http_transaction *x)
{
    json_t *job = jobs_describe(x->service->jobs, http_tail_number(x));
    if (!job)
        http_answer_problem(x, 404, "no job of this number was started here lately; see /image-cache/jobs");
    return job;
}

void route_job(struct http_transaction *x)
{
    json_t *job = asked_for(x);
    if (job)
        http_answer_json(x, 200, job);
}

/* Server-sent events (HTML standard, section 9.2): the job as it stands, every second; "end" is the last one. */
struct events {
    int ended;  /* the last event was sent */
    int paused; /* an event was sent a moment ago */
};

/* The next event's text, to be freed. NULL: it is forgotten. */
static char *next_event(struct http_transaction *x, int *ret_ended)
{
    json_t *job = jobs_describe(x->service->jobs, http_tail_number(x));
    if (!job)
        return NULL;
    *ret_ended = strcmp(json_string_value(json_object_get(job, "state")), "running") != 0;
    (void)json_object_del(job, "errors"); /* they can be many: the job itself has them */
    char *data = json_dumps(job, JSON_COMPACT | JSON_REAL_PRECISION(12)), *event = NULL;
    json_decref(job);
    if (data && asprintf(&event, "event: %s\ndata: %s\n\n", *ret_ended ? "end" : "progress", data) < 0)
        event = NULL;
    free(data);
    return event;
}

static ssize_t stream_events(struct http_transaction *x, char *to, size_t max)
{
    struct events *events = x->state;
    if (events->ended)
        return -1;
    events->paused = !events->paused;
    if (!events->paused)
        return 0;
    char *event = next_event(x, &events->ended);
    size_t n = event ? strlen(event) : 0;
    if (!n || n > max) {
        free(event);
        return -1;
    }
    memcpy(to, event, n);
    free(event);
    return (ssize_t)n;
}

void route_job_events(struct http_transaction *x)
{
    json_t *job = asked_for(x);
    if (!job)
        return;
    json_decref(job);
    x->state = calloc(1, sizeof(struct events));
    if (!x->state) {
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    x->answer.status = 200;
    x->answer.stream = stream_events;
    http_add_header(x, "Content-Type", "text/event-stream");
    http_add_header(x, "Cache-Control", "no-store");
}

void route_job_cancel(struct http_transaction *x)
{
    int r = jobs_cancel_one(x->service->jobs, http_tail_number(x));
    json_t *job = r == -EALREADY ? NULL : asked_for(x);
    if (job)
        http_answer_json(x, 202, job);
    else if (r == -EALREADY)
        http_answer_problem(x, 409, "the job has ended already");
}

static void add_run(void *arg, const struct store_job *job)
{
    json_t *result = json_loads(job->result, 0, NULL);
    json_array_append_new(arg, json_pack("{s:I, s:s, s:s, s:s, s:b, s:o, s:o, s:o}", "id", (json_int_t)job->id, "kind",
                                         job->kind, "state", job->state, "host", job->host, "dry_run",
                                         json_is_true(json_object_get(result, "dry_run")), "started_at",
                                         describe_time(job->started_us), "finished_at", describe_time(job->finished_us),
                                         "result", result ? result : json_object()));
}

static int list_runs(struct store *store, const struct url_query *query, const struct store_history_page *page,
                     char ret_cursor[STORE_HISTORY_CURSOR_SIZE], json_t *rows, struct error *e)
{
    return store_jobs(store, url_query_get(query, "kind"), page, ret_cursor, add_run, rows, e);
}

void route_jobs_list(struct http_transaction *x)
{
    json_t *page = paging_list(x, "recent", list_runs);
    if (!page)
        return;
    json_t *body = json_pack("{s:o}", "running", jobs_describe_running(x->service->jobs));
    json_object_update(body, page);
    json_decref(page);
    http_answer_json(x, 200, body);
}
