#include "api/read_stats.h"

#include <errno.h>
#include <stdlib.h>

#include "api/describe.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"

#define MINUTE_MS 60000

enum { MEMORY, DISK, REDIS, DB, ORIGIN, MISSED, ERRORS, COUNTS };

static const enum metric_value tiers[] = {
    [MEMORY] = METRIC_tier_memory, [DISK] = METRIC_tier_disk,     [REDIS] = METRIC_tier_redis,
    [DB] = METRIC_tier_db,         [ORIGIN] = METRIC_tier_origin,
};
static const char *const names[COUNTS] = {"memory", "disk", "redis", "db", "origin", "missed", "errors"};

struct minute {
    int64_t at_us;
    int64_t counts[COUNTS];
};

struct read_stats {
    struct thread thread; /* its lock is over what follows */
    struct minute begun;  /* the metrics at the begin of the present minute */
    int count, next;      /* of the ring */
    struct minute ring[READ_STATS_MINUTES];
};

static void look(struct minute *ret)
{
    *ret = (struct minute){.at_us = clock_realtime_us()};
    for (int i = MEMORY; i <= ORIGIN; i++) {
        ret->counts[i] = metric_get(METRIC_reads, tiers[i], METRIC_none);
        ret->counts[ERRORS] += metric_get(METRIC_read_errors, tiers[i], METRIC_none);
    }
    ret->counts[MISSED] = metric_get(METRIC_reads_absent, METRIC_none, METRIC_none);
}

/* What was counted between two looks. */
static struct minute between(const struct minute *begin, const struct minute *end)
{
    struct minute m = {.at_us = begin->at_us};
    for (int i = 0; i < COUNTS; i++)
        m.counts[i] = end->counts[i] - begin->counts[i];
    return m;
}

static void end_minute(struct read_stats *m)
{
    struct minute now;
    look(&now);
    m->ring[m->next] = between(&m->begun, &now);
    m->next = (m->next + 1) % READ_STATS_MINUTES;
    m->count += m->count < READ_STATS_MINUTES;
    m->begun = now;
}

static void read_stats_run(void *arg)
{
    struct read_stats *m = arg;
    int64_t ends_ms = clock_monotonic_ms() + MINUTE_MS;
    lock_take(&m->thread.lock);
    for (; thread_wait_locked(&m->thread, ends_ms); ends_ms += MINUTE_MS)
        end_minute(m);
    lock_give(&m->thread.lock);
}

static void free_read_stats(struct read_stats *m)
{
    thread_destroy(&m->thread);
    free(m);
}

int read_stats_start(struct read_stats **ret)
{
    struct read_stats *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    thread_init(&m->thread, LOCK_read_stats);
    look(&m->begun);
    int r = thread_start(&m->thread, "read-stats", read_stats_run, m);
    if (r < 0)
        free_read_stats(m);
    else
        *ret = m;
    return r;
}

void read_stats_stop(struct read_stats *m)
{
    if (!m)
        return;
    (void)!thread_stop(&m->thread, THREAD_NEVER);
    free_read_stats(m);
}

static void add(json_t *list, const struct minute *minute)
{
    json_t *object = json_object();
    json_object_set_new(object, "at", describe_time(minute->at_us));
    for (int i = 0; i < COUNTS; i++)
        json_object_set_new(object, names[i], json_integer(minute->counts[i]));
    json_array_append_new(list, object);
}

json_t *read_stats_describe(struct read_stats *m)
{
    json_t *list = json_array();
    struct minute now;
    lock_take(&m->thread.lock);
    look(&now);
    for (int i = m->count; i > 0; i--)
        add(list, &m->ring[(m->next - i + READ_STATS_MINUTES) % READ_STATS_MINUTES]);
    now = between(&m->begun, &now);
    add(list, &now);
    lock_give(&m->thread.lock);
    return list;
}
