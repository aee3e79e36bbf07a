#include "job/job.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/semaphore.h"
#include "client/db.h"
#include "config/config.h"

void job_init(struct job *job, const char *kind, struct store *store, const char *const *counter_names,
              job_problem_fn *problem, void *arg)
{
    memset(job, 0, sizeof *job);
    job->kind = kind;
    job->store = store;
    job->patience_ms = JOB_PATIENCE_MS;
    job->started_us = clock_realtime_us();
    job->problem = problem;
    job->arg = arg;
    for (int i = 0; counter_names[i]; i++)
        job->counters[i].name = counter_names[i];
    lock_init(&job->lock, LOCK_job);
}

void job_release(struct job *job)
{
    lock_destroy(&job->lock);
}

void job_count(struct job *job, int counter, int64_t n)
{
    atomic_fetch_add_explicit(&job->counters[counter].value, n, memory_order_relaxed);
}

void job_moved(struct job *job, int counter, int64_t bytes)
{
    job_count(job, counter, 1);
    atomic_fetch_add_explicit(&job->bytes, bytes, memory_order_relaxed);
    atomic_store(&job->eventful, 1);
}

int64_t job_counted(struct job *job, int counter)
{
    return atomic_load_explicit(&job->counters[counter].value, memory_order_relaxed);
}

static void tell(struct job *job, const struct image_key *key, const struct error *why)
{
    if (!job->problem)
        return;
    lock_take(&job->lock);
    job->problem(job->arg, key, why);
    lock_give(&job->lock);
}

void job_tell(struct job *job, const struct image_key *key, const struct error *why)
{
    atomic_fetch_add(&job->failures, 1);
    tell(job, key, why);
}

void job_differs(struct job *job, int counter, const struct image_key *key, const struct error *why)
{
    job_count(job, counter, 1);
    atomic_store(&job->eventful, 1);
    tell(job, key, why);
}

void job_problem(struct job *job, int counter, const struct image_key *key, const struct error *why)
{
    job_count(job, counter, 1);
    atomic_store(&job->eventful, 1);
    job_tell(job, key, why);
}

void job_fail(struct job *job, const struct error *why)
{
    lock_take(&job->lock);
    if (!job->failure.code && !job->ended)
        job->failure = *why;
    lock_give(&job->lock);
    atomic_store(&job->eventful, 1);
    atomic_store(&job->stopped, 1);
}

int job_stopped(const struct job *job)
{
    return atomic_load_explicit(&job->stopped, memory_order_relaxed);
}

int job_ask_again(struct job *job, int code, int64_t *deadline_ms)
{
    return db_ask_again(store_pool(job->store), code, job->patience_ms, &job->stopped, deadline_ms);
}

int job_threads(const struct job *job, int wanted)
{
    int size = db_pool_size(store_pool(job->store)), most = size - 1;
    if (size < store_config(job->store)->db_pool) /* in a service: one is the feed's, and the watch has its share */
        most = size - 1 - (size - 1) / 2;
    return wanted > 0 && wanted < most ? wanted : most;
}

int job_acquire(struct job *job, struct error *e)
{
    int most = db_pool_size(store_pool(job->store)) - 1;
    int r = semaphore_acquire(store_semaphore(job->store), most > 1 ? most : 1, &job->stopped);
    return r < 0 ? error_set(e, r, "%s", r == -ENOMEM ? "out of memory" : "was not reached") : 0;
}

int job_contended(const struct job *job)
{
    return semaphore_contended(store_semaphore(job->store));
}

void job_yield(const struct job *job)
{
    semaphore_release(store_semaphore(job->store));
}

const char *job_state(const struct job *job)
{
    if (job->failure.code)
        return job->failure.code == -ECANCELED ? "cancelled" : "failed";
    return atomic_load(&job->failures) ? "done_with_failures" : "done";
}

static void count_end(const struct job *job)
{
    enum metric_value kind = metric_kind(job->kind);
    int64_t us = clock_realtime_us() - job->started_us;
    metric_add(METRIC_jobs, kind, METRIC_none, 1);
    metric_add(METRIC_job_seconds, kind, METRIC_none, us > 0 ? us : 0);
    if (job->failure.code && job->failure.code != -ECANCELED)
        metric_add(METRIC_jobs_failed, kind, METRIC_none, 1);
    else if (!job->failure.code && atomic_load(&job->failures))
        metric_add(METRIC_jobs_incomplete, kind, METRIC_none, 1);
}

/* Why it failed, as a member of the object. */
static int add_failure(const struct job *job, struct buf *result)
{
    json_t *text = json_string(job->failure.text);
    char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    int r = quoted ? buf_addf(result, ", \"failure\": %s", quoted) : 0; /* not UTF-8: the log has it */
    free(quoted);
    json_decref(text);
    return r;
}

void job_record(struct job *job)
{
    lock_take(&job->lock);
    job->ended = 1;
    lock_give(&job->lock);
    count_end(job);
    if (!job->is_asked_for && (job->dry_run || !atomic_load(&job->eventful)))
        return;
    if (db_unavailable(job->failure.code)) /* it would be written to what did not answer */
        return;

    struct buf result;
    buf_init(&result, 4096);
    int r = buf_addstr(&result, "{");
    for (int i = 0; i < JOB_COUNTERS && job->counters[i].name && r == 0; i++)
        r = buf_addf(&result, "%s\"%s\": %lld", i ? ", " : "", job->counters[i].name, (long long)job_counted(job, i));
    if (r == 0 && job->dry_run)
        r = buf_addstr(&result, ", \"dry_run\": true");
    if (r == 0 && atomic_load(&job->failures))
        r = buf_addf(&result, ", \"failures\": %lld", (long long)atomic_load(&job->failures));
    if (r == 0 && strcmp(job_state(job), "failed") == 0)
        r = add_failure(job, &result);
    if (r == 0)
        r = buf_addstr(&result, "}");
    /* The column knows "done" alone; "failures" tells them apart (sql/job_list.sql). */
    const char *state = strcmp(job_state(job), "done_with_failures") == 0 ? "done" : job_state(job);
    if (r == 0)
        (void)!store_record_job(job->store, job->kind, state, job->started_us, result.data);
    buf_release(&result);
}
