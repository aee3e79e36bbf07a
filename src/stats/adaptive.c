#include "stats/adaptive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db.h"
#include "config/config.h"
#include "sql.h"

#define HOURS_A_DAY  24
#define OFFICE_FIRST 9
#define OFFICE_LAST  18
#define QUERY_MS     1000

struct adaptive {
    struct store *store;
    adaptive_apply_fn *apply;
    void *arg;
    struct thread thread; /* its lock is over what follows */
    struct adaptive_limits limits;
};

static int is_empty(const int64_t history[ADAPTIVE_HOURS])
{
    for (int i = 0; i < ADAPTIVE_HOURS; i++)
        if (history[i])
            return 0;
    return 1;
}

/* At this hour of the day on the days before, over those that had any. */
static int64_t average(const int64_t history[ADAPTIVE_HOURS])
{
    int64_t sum = 0, days = 0;
    for (int i = HOURS_A_DAY; i < ADAPTIVE_HOURS; i += HOURS_A_DAY) {
        sum += history[i];
        days += history[i] > 0;
    }
    return days ? sum / days : 0;
}

struct adaptive_limits adaptive_decide(const int64_t history[ADAPTIVE_HOURS], int hour, const struct config *config)
{
    int64_t before = average(history), requests = before > history[0] ? before : history[0];
    int peak =
        is_empty(history) ? hour >= OFFICE_FIRST && hour <= OFFICE_LAST : requests > (int64_t)config->usage_threshold;
    return (struct adaptive_limits){
        .peak = peak,
        .ttl_s = peak ? config->peak_ttl_s : config->default_ttl_s,
        .items = peak ? config->peak_cache_items : config->default_cache_items,
        .hour_requests = requests,
    };
}

static struct adaptive_limits decide_now(const struct store *store, const int64_t history[ADAPTIVE_HOURS])
{
    time_t now = time(NULL);
    struct tm local = {0};
    (void)localtime_r(&now, &local);
    return adaptive_decide(history, local.tm_hour, store_config(store));
}

static int read_history(struct store *store, int64_t ret[ADAPTIVE_HOURS], struct error *e)
{
    struct db_conn *conn;
    struct db_result *rows;
    int r = db_get(store_pool(store), &conn, e);
    if (r < 0)
        return r;
    r = db_query(conn, &sql_access_history, NULL, &rows, e);
    db_put(conn);
    if (r < 0)
        return r;
    for (int i = 0; i < db_rows(rows); i++) {
        int64_t ago = db_int(rows, i, 0);
        if (ago >= 0 && ago < ADAPTIVE_HOURS)
            ret[ago] = db_int(rows, i, 1);
    }
    db_result_free(rows);
    return 0;
}

int adaptive_look(struct store *store, struct adaptive_limits *ret, struct error *e)
{
    const struct config *config = store_config(store);
    int64_t history[ADAPTIVE_HOURS] = {0};
    if (!config->adaptive_ttl) {
        *ret = (struct adaptive_limits){.ttl_s = config->default_ttl_s, .items = config->default_cache_items};
        return 0;
    }
    int r = read_history(store, history, e);
    if (r == 0)
        *ret = decide_now(store, history);
    return r;
}

static void tell(const struct adaptive_limits *limits)
{
    metric_set(METRIC_adaptive_ttl_seconds, METRIC_none, METRIC_none, limits->ttl_s * INT64_C(1000000));
    metric_set(METRIC_adaptive_items, METRIC_none, METRIC_none, limits->items);
    metric_set(METRIC_adaptive_hour_requests, METRIC_none, METRIC_none, limits->hour_requests);
}

static void set(struct adaptive *a, const struct adaptive_limits *limits)
{
    tell(limits);
    lock_take(&a->thread.lock);
    int is_new = a->limits.ttl_s != limits->ttl_s || a->limits.items != limits->items;
    a->limits = *limits;
    lock_give(&a->thread.lock);
    if (is_new)
        a->apply(a->arg, limits);
}

static void adaptive_run(void *arg)
{
    struct adaptive *a = arg;
    do {
        struct adaptive_limits limits;
        db_deadline(clock_monotonic_ms() + QUERY_MS);
        if (adaptive_look(a->store, &limits, NULL) == 0)
            set(a, &limits);
    } while (thread_wait(&a->thread, clock_monotonic_ms() + ADAPTIVE_LOOK_MS));
}

static void free_adaptive(struct adaptive *a)
{
    thread_destroy(&a->thread);
    free(a);
}

int adaptive_start(struct adaptive **ret, struct store *store, adaptive_apply_fn *apply, void *arg)
{
    static const int64_t unknown[ADAPTIVE_HOURS];
    struct adaptive *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct adaptive){.store = store, .apply = apply, .arg = arg, .limits = decide_now(store, unknown)};
    thread_init(&a->thread, LOCK_adaptive);
    tell(&a->limits);
    apply(arg, &a->limits);
    int r = thread_start(&a->thread, "adaptive", adaptive_run, a);
    if (r < 0)
        free_adaptive(a);
    else
        *ret = a;
    return r;
}

struct adaptive_limits adaptive_limits(struct adaptive *a)
{
    lock_take(&a->thread.lock);
    struct adaptive_limits limits = a->limits;
    lock_give(&a->thread.lock);
    return limits;
}

void adaptive_stop(struct adaptive *a)
{
    if (!a)
        return;
    (void)!thread_stop(&a->thread, THREAD_NEVER);
    free_adaptive(a);
}
