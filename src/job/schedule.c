#include "job/schedule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db.h"
#include "client/db_fault.h"
#include "config/config.h"
#include "job/cleanup.h"
#include "sql.h"
#include "store/copies_on_disk.h"
#include "store/store_cleanup.h"

#define LOOK_MS          15000 /* clocks are set, and the database comes back: nothing is slept through for longer */
#define RETRY_MS         3000  /* while the database does not answer */
#define QUERY_MS         5000
#define MEASURE_MS       60000
#define LOOK_CLEANING_MS 300000
#define HOUR_S           3600
#define NOON             12

struct schedule {
    struct schedule_options options;
    int64_t next_sync_ms;
    int64_t next_look_ms; /* at what the cleaning has announced */
    int64_t rounds;
    char day[16];              /* for which the database was asked who cleans */
    struct error last_problem; /* of a sync, told to the log; the same is not told again */
    struct thread thread;      /* its lock is over what follows */
    struct job *job;           /* that runs; NULL: none */
};

struct schedule_day schedule_day(int64_t now_s, int cleanup_at)
{
    struct schedule_day found;
    struct tm local;
    time_t now = (time_t)now_s;
    (void)localtime_r(&now, &local);
    int today = local.tm_hour * 60 + local.tm_min >= cleanup_at;

    struct tm day = local;
    day.tm_mday -= !today;
    day.tm_hour = NOON; /* which every day has once */
    day.tm_isdst = -1;
    (void)mktime(&day);
    (void)strftime(found.day, sizeof found.day, "%Y-%m-%d", &day);

    struct tm last = day, next = day;
    last.tm_hour = next.tm_hour = cleanup_at / 60;
    last.tm_min = next.tm_min = cleanup_at % 60;
    last.tm_sec = next.tm_sec = 0;
    last.tm_isdst = next.tm_isdst = -1;
    next.tm_mday++;
    found.just_now = now - mktime(&last) < HOUR_S;
    found.next_s = mktime(&next);
    return found;
}

static int begin_job(struct schedule *s, struct job *job)
{
    lock_take(&s->thread.lock);
    int begun = !s->thread.stopping;
    if (begun)
        s->job = job;
    lock_give(&s->thread.lock);
    return begun;
}

static void end_job(struct schedule *s)
{
    lock_take(&s->thread.lock);
    s->job = NULL;
    lock_give(&s->thread.lock);
}

/* Syncing */

static void log_problem(void *arg, const struct image_key *key, const struct error *why)
{
    struct schedule *s = arg;
    if (strcmp(s->last_problem.text, why->text) == 0) /* a bucket that is down is so for many uploads */
        return;
    s->last_problem = *why;
    log_event(LOG_WARN, "upload not synced", LOG_STR("collection", key->collection), LOG_STR("file", key->path),
              LOG_STR("error", why->text));
}

static void log_moved(void *arg, const struct upload *u)
{
    struct schedule *s = arg;
    if (s->options.told)
        s->options.told(s->options.arg, u);
    else
        log_event(LOG_INFO, "upload synced", LOG_STR("collection", u->collection), LOG_STR("file", u->name),
                  LOG_STR("to", u->key), LOG_INT("bytes", u->size));
}

static void log_round(struct schedule *s, struct job *job)
{
    char summary[SYNC_SUMMARY_SIZE];
    int code = job->failure.code;
    if (code && code != -ECANCELED && strcmp(s->last_problem.text, job->failure.text) != 0) {
        s->last_problem = job->failure;
        log_event(LOG_WARN, "sync of uploads failed", LOG_STR("error", job->failure.text));
    } else if (!code && job_counted(job, SYNC_SYNCED)) {
        s->last_problem = (struct error){0};
        log_event(LOG_INFO, "uploads synced", LOG_STR("summary", sync_summary(summary, job)));
    }
}

/* Whether to try again before long: nothing could be done without the database, or without its tables. */
static int is_too_early(int code)
{
    return db_fault_state(code) != DB_STATE_UP;
}

static void sync_once(struct schedule *s)
{
    struct job job;
    int64_t started_ms = clock_monotonic_ms();
    sync_init(&job, s->options.store, log_problem, s);
    if (begin_job(s, &job)) {
        int code = sync_run(&job, &(struct sync_options){.told = log_moved, .arg = s});
        end_job(s);
        log_round(s, &job);
        int again = is_too_early(code) && !s->options.rounds;
        s->rounds += !again;
        if (s->options.ended && code != -ECANCELED)
            s->options.ended(s->options.arg, &job, !s->options.rounds || s->rounds < s->options.rounds);
        s->next_sync_ms = started_ms + (again ? RETRY_MS : s->options.interval_s * INT64_C(1000));
    }
    job_release(&job);
}

/* What waits, for the metrics: of all instances. */
static void measure(struct store *store)
{
    struct uploads_counts counts;
    if (uploads_counts(store, &counts, NULL) < 0)
        return;
    metric_set(METRIC_uploads_pending, METRIC_none, METRIC_none, counts.all.pending);
    metric_set(METRIC_uploads_failed, METRIC_none, METRIC_none, counts.all.failed);
    metric_set(METRIC_oldest_upload_seconds, METRIC_none, METRIC_none, counts.all.oldest_s * INT64_C(1000000));
}

/* Cleaning */

/* What the daily cleaning has announced, for the metrics. */
static void measure_cleaning(struct schedule *s)
{
    struct store_cleanup_status status;
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < s->next_look_ms || store_cleanup_status(s->options.store, &status, NULL) < 0)
        return;
    s->next_look_ms = now_ms + LOOK_CLEANING_MS;
    metric_set(METRIC_cleanup_announced, METRIC_none, METRIC_none, status.announced);
    metric_set(METRIC_cleanup_refused, METRIC_none, METRIC_none, status.days && *status.use_error);
    metric_set(METRIC_cleaned_up_undecided, METRIC_none, METRIC_none, status.undecided);
}

/* 1: this instance cleans today; 0: another one does, or has. */
static int take_day(struct schedule *s, const struct schedule_day *day)
{
    char host[256] = "";
    struct db_conn *conn;
    struct db_result *rows;
    struct db_params params;
    struct error why;
    (void)gethostname(host, sizeof host - 1);
    db_params_init(&params);
    db_param_text(&params, "cleanup");
    db_param_text(&params, day->day);
    db_param_text(&params, host);
    db_param_int(&params, day->just_now);
    int r = db_get(store_pool(s->options.store), &conn, &why);
    if (r < 0)
        return r;
    r = db_query(conn, &sql_schedule_take, &params, &rows, &why);
    db_put(conn);
    if (r < 0)
        return r;
    r = db_rows(rows) && db_int(rows, 0, 0);
    db_result_free(rows);
    return r;
}

static void clean_images(struct schedule *s)
{
    struct job job;
    cleanup_init(&job, s->options.store, NULL, NULL);
    if (begin_job(s, &job)) {
        int code = cleanup_daily(&job, s->options.instance);
        end_job(s);
        if (code < 0)
            log_event(LOG_WARN, "daily cleaning failed", LOG_STR("error", job.failure.text));
        else
            log_event(LOG_INFO, "daily cleaning", LOG_INT("trashed", job_counted(&job, CLEANUP_TRASHED)),
                      LOG_INT("purged", job_counted(&job, CLEANUP_PURGED)));
    }
    job_release(&job);
}

static void clean(struct schedule *s)
{
    const struct config *config = store_config(s->options.store);
    struct store_tally copies = {0};
    struct error why;
    int64_t forgotten = 0;
    clean_images(s);
    if (uploads_purge(s->options.store, &forgotten, &why) < 0)
        log_event(LOG_WARN, "completed uploads not purged", LOG_STR("error", why.text));
    if (copies_on_disk_clean(config, config->copy_days, 0, &copies, &why) < 0)
        log_event(LOG_WARN, "cannot purge expired copies", LOG_STR("error", why.text));
    if (copies.images || forgotten)
        log_event(LOG_INFO, "expired copies and uploads purged", LOG_INT("copies", copies.images),
                  LOG_INT("uploads", forgotten));
}

/* Asks once for each day. In how many milliseconds to come back for the next one. */
static int64_t clean_if_due(struct schedule *s)
{
    int64_t now_us = clock_realtime_us();
    struct schedule_day day = schedule_day(now_us / 1000000, store_config(s->options.store)->cleanup_at);
    if (strcmp(day.day, s->day) != 0) {
        int taken = take_day(s, &day);
        if (taken < 0)
            return RETRY_MS;
        memcpy(s->day, day.day, sizeof s->day);
        if (taken) {
            clean(s);
            s->next_look_ms = 0;
        }
    }
    return day.next_s * 1000 - now_us / 1000;
}

/* The thread */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Returns whether to go on. */
static int wait_for_look(struct schedule *s, int64_t clean_ms)
{
    int64_t until_ms = clock_monotonic_ms() + earlier(LOOK_MS, clean_ms > 0 ? clean_ms : 0);
    return thread_wait(&s->thread, earlier(until_ms, s->next_sync_ms));
}

static void announce_end(struct schedule *s)
{
    uint64_t one = 1;
    if (s->options.wake_fd >= 0)
        (void)!write(s->options.wake_fd, &one, sizeof one);
}

static void schedule_run(void *arg)
{
    struct schedule *s = arg;
    int64_t clean_ms, measure_ms = 0;
    do {
        int syncs = clock_monotonic_ms() >= s->next_sync_ms;
        if (syncs)
            sync_once(s);
        if (s->options.rounds && s->rounds >= s->options.rounds)
            break;
        db_deadline(clock_monotonic_ms() + QUERY_MS);
        if (syncs || clock_monotonic_ms() >= measure_ms) {
            measure(s->options.store);
            measure_ms = clock_monotonic_ms() + MEASURE_MS;
        }
        db_deadline(INT64_MAX);
        clean_ms = clean_if_due(s);
        db_deadline(clock_monotonic_ms() + QUERY_MS);
        measure_cleaning(s);
        db_deadline(INT64_MAX);
    } while (wait_for_look(s, clean_ms));
    announce_end(s);
}

static void free_schedule(struct schedule *s)
{
    thread_destroy(&s->thread);
    free(s);
}

int schedule_start(struct schedule **ret, const struct schedule_options *options)
{
    struct schedule *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->options = *options;
    thread_init(&s->thread, LOCK_schedule);
    int r = thread_start(&s->thread, "schedule", schedule_run, s);
    if (r < 0)
        free_schedule(s);
    else
        *ret = s;
    return r;
}

void schedule_cancel(struct schedule *s)
{
    struct error why;
    if (!s)
        return;
    error_set(&why, -ECANCELED, "the service was asked to stop");
    lock_take(&s->thread.lock);
    s->thread.stopping = 1;
    if (s->job)
        job_fail(s->job, &why);
    pthread_cond_broadcast(&s->thread.changed);
    lock_give(&s->thread.lock);
}

int schedule_stop(struct schedule *s, int64_t deadline_ms)
{
    if (!s)
        return 0;
    schedule_cancel(s);
    if (thread_stop(&s->thread, deadline_ms) < 0)
        return -ETIMEDOUT;
    free_schedule(s);
    return 0;
}
