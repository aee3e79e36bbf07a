#include "api/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "api/describe.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "codec/url.h"

#define REMEMBERED    64
#define ERRORS_LISTED 1000

struct run {
    struct jobs *jobs;
    int64_t id;
    const struct jobs_kind *kind;
    struct job job;
    json_t *arguments, *errors;
    struct http_transaction *asked_by; /* NULL: no client waits for the answer */
    int ended;
    int64_t ended_us;
    pthread_t thread;
    struct run *prev, *next;
};

struct jobs {
    struct store *store;
    struct lock lock;        /* over the list and whether one has ended; a job's own may be taken within */
    struct lock errors_lock; /* over the lists of errors; may be taken within both */
    int cancelled;
    int64_t last_id;
    int count;
    struct run *runs; /* the newest first */
};

int jobs_open(struct jobs **ret, struct store *store)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return -ENOMEM;
    jobs->store = store;
    lock_init(&jobs->lock, LOCK_jobs);
    lock_init(&jobs->errors_lock, LOCK_job_errors);
    *ret = jobs;
    return 0;
}

static void run_free(struct run *run)
{
    pthread_join(run->thread, NULL);
    job_release(&run->job);
    json_decref(run->arguments);
    json_decref(run->errors);
    free(run);
}

void jobs_cancel(struct jobs *jobs)
{
    struct error why;
    struct run *run;
    error_set(&why, -ECANCELED, "the service was asked to stop");
    lock_take(&jobs->lock);
    jobs->cancelled = 1;
    DL_FOREACH(jobs->runs, run)
    {
        if (!run->ended)
            job_fail(&run->job, &why);
    }
    lock_give(&jobs->lock);
}

int jobs_running(struct jobs *jobs)
{
    const struct run *run;
    int running = 0;
    lock_take(&jobs->lock);
    DL_FOREACH(jobs->runs, run)
    {
        running += !run->ended;
    }
    lock_give(&jobs->lock);
    return running;
}

void jobs_close(struct jobs *jobs)
{
    if (!jobs)
        return;
    while (jobs->runs) {
        struct run *run = jobs->runs;
        DL_DELETE(jobs->runs, run);
        run_free(run);
    }
    lock_destroy(&jobs->errors_lock);
    lock_destroy(&jobs->lock);
    free(jobs);
}

void jobs_list_error(void *arg, json_t *error)
{
    struct run *run = arg;
    lock_take(&run->jobs->errors_lock);
    if (json_array_size(run->errors) < ERRORS_LISTED)
        json_array_append(run->errors, error);
    lock_give(&run->jobs->errors_lock);
    json_decref(error);
}

static void keep_problem(void *arg, const struct image_key *key, const struct error *why)
{
    jobs_list_error(arg, describe_problem(key, why));
}

/* With the lock held, or after its end. */
static json_t *describe(struct run *run)
{
    json_t *object = describe_job(&run->job);
    json_object_set_new(object, "id", json_integer(run->id));
    json_object_set_new(object, "kind", json_string(run->kind->name));
    json_object_set_new(object, "state", json_string(run->ended ? job_state(&run->job) : "running"));
    json_object_set_new(object, "done", json_integer(atomic_load(&run->job.done)));
    json_object_set_new(object, "expected", json_integer(atomic_load(&run->job.expected)));
    json_object_set_new(object, "started_at", describe_time(run->job.started_us));
    json_object_set_new(object, "finished_at", describe_time(run->ended_us));
    if (run->ended) /* only then do the seconds stand still */
        json_object_set_new(object, "seconds", json_real((double)(run->ended_us - run->job.started_us) / 1e6));
    lock_take(&run->jobs->errors_lock);
    json_object_set_new(object, "errors", json_deep_copy(run->errors));
    lock_give(&run->jobs->errors_lock);
    if (run->ended && run->job.failure.code)
        json_object_set_new(object, "failure", json_string(run->job.failure.text));
    return object;
}

/* Whether whoever waits is told of a failure, and not of what came of the job until it was cancelled. */
static int has_failed(const struct run *run)
{
    int code = run->job.failure.code;
    return code && (code != -ECANCELED || run->jobs->cancelled);
}

static void answer(struct run *run, struct http_transaction *x)
{
    if (run->kind->answer) {
        json_t *description = describe(run);
        http_answer_json(x, 200, run->kind->answer(&run->job, description));
        json_decref(description);
    } else if (has_failed(run)) {
        http_answer_error(x, NULL, &run->job.failure);
    } else {
        http_answer_json(x, 200, describe(run));
    }
}

static void *jobs_run(void *arg)
{
    struct run *run = arg;
    thread_set_name("job");
    (void)!run->kind->run(&run->job, run->arguments);
    struct http_transaction *x = run->asked_by;
    lock_take(&run->jobs->lock);
    run->ended = 1;
    run->ended_us = clock_realtime_us();
    if (x)
        answer(run, x);
    lock_give(&run->jobs->lock);
    if (x)
        http_done(x);
    return NULL;
}

/* Forgets the oldest one that has ended. */
static struct run *too_many(struct jobs *jobs)
{
    struct run *oldest = jobs->count >= REMEMBERED ? jobs->runs->prev : NULL;
    if (!oldest || !oldest->ended)
        return NULL;
    DL_DELETE(jobs->runs, oldest);
    jobs->count--;
    return oldest;
}

static const char *group_of(const struct jobs_kind *kind)
{
    return kind->group ? kind->group : kind->name;
}

static int is_running(const struct jobs *jobs, const struct jobs_kind *kind)
{
    const struct run *run;
    DL_FOREACH(jobs->runs, run)
    {
        if (strcmp(group_of(run->kind), group_of(kind)) == 0 && !run->ended)
            return 1;
    }
    return 0;
}

/* 0, -EBUSY, -ECANCELED, or what pthread_create says. Sets the id. */
static int start(struct jobs *jobs, struct run *run)
{
    lock_take(&jobs->lock);
    int r = jobs->cancelled ? -ECANCELED : is_running(jobs, run->kind) ? -EBUSY : 0;
    struct run *forgotten = NULL;
    if (r == 0) {
        run->id = jobs->last_id + 1;
        r = -pthread_create(&run->thread, NULL, jobs_run, run);
    }
    if (r == 0) {
        forgotten = too_many(jobs);
        jobs->last_id = run->id;
        jobs->count++;
        DL_PREPEND(jobs->runs, run);
    }
    lock_give(&jobs->lock);
    if (forgotten)
        run_free(forgotten);
    return r;
}

int jobs_wants_later(const struct http_transaction *x)
{
    struct url_query query;
    if (!x->raw_query || url_query_parse(&query, x->raw_query, strlen(x->raw_query), NULL) < 0)
        return 0;
    const char *value = url_query_get(&query, "async");
    int yes = value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
    url_query_release(&query);
    return yes;
}

void jobs_start(struct jobs *jobs, struct http_transaction *x, const struct jobs_kind *kind, json_t *arguments,
                int later)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        json_decref(arguments);
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    *run = (struct run){.jobs = jobs, .kind = kind, .arguments = arguments, .errors = json_array()};
    run->asked_by = later ? NULL : x;
    kind->init(&run->job, jobs->store, keep_problem, run);
    run->job.dry_run = json_is_true(json_object_get(arguments, "dry_run"));
    run->job.is_asked_for = 1;
    if (!later)
        http_later(x);
    int r = start(jobs, run);
    if (r == 0 && later) {
        http_answer_json(
            x, 202, json_pack("{s:I, s:s, s:s}", "id", (json_int_t)run->id, "kind", kind->name, "state", "running"));
        http_add_header(x, "Location", "/image-cache/jobs/%lld", (long long)run->id);
    }
    if (r == 0)
        return;
    job_release(&run->job);
    json_decref(run->arguments);
    json_decref(run->errors);
    free(run);
    if (r == -EBUSY)
        http_answer_problem(x, 409, "a %s is running already; see /image-cache/jobs", group_of(kind));
    else
        http_answer_problem(x, 503, "the job can't be started: %s", strerror(-r));
    if (!later)
        http_done(x);
}

json_t *jobs_describe(struct jobs *jobs, int64_t id)
{
    json_t *object = NULL;
    struct run *run;
    lock_take(&jobs->lock);
    DL_FOREACH(jobs->runs, run)
    {
        if (run->id == id)
            object = describe(run);
    }
    lock_give(&jobs->lock);
    return object;
}

json_t *jobs_describe_running(struct jobs *jobs)
{
    json_t *list = json_array();
    struct run *run;
    lock_take(&jobs->lock);
    DL_FOREACH(jobs->runs, run)
    {
        if (!run->ended)
            json_array_append_new(list, describe(run));
    }
    lock_give(&jobs->lock);
    return list;
}

int jobs_cancel_one(struct jobs *jobs, int64_t id)
{
    struct error why;
    struct run *run;
    int r = -ENOENT;
    error_set(&why, -ECANCELED, "was cancelled");
    lock_take(&jobs->lock);
    DL_FOREACH(jobs->runs, run)
    {
        if (run->id != id)
            continue;
        if (!run->ended)
            job_fail(&run->job, &why);
        r = run->ended ? -EALREADY : 0;
    }
    lock_give(&jobs->lock);
    return r;
}
