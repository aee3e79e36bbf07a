/* Whoever owes does so before he asks whether Redis is up, and what is up is asked only while nothing is owed: so no
 * order of events lets a stale image be read. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "tier/tier_redis_internal.h"

#define WORK_MS 1000 /* a batch */

/* For these, the lock is held. */
static void forget(struct tier_redis_owed *owed, int count)
{
    for (int i = 0; i < count; i++)
        free(owed->names[i]);
    owed->count -= count;
    memmove(owed->names, owed->names + count, (size_t)owed->count * sizeof *owed->names);
}

static void show(struct tier_redis_owed *owed)
{
    metric_set(METRIC_redis_owed, METRIC_none, METRIC_none, owed->count);
    atomic_store(&owed->any, owed->count || owed->all != owed->all_done);
}

void tier_redis_owed_init(struct tier_redis_owed *owed)
{
    lock_init(&owed->working, LOCK_redis_owed_work);
    lock_init(&owed->lock, LOCK_redis_owed);
    show(owed);
}

void tier_redis_owed_release(struct tier_redis_owed *owed)
{
    forget(owed, owed->count);
    lock_destroy(&owed->lock);
    lock_destroy(&owed->working);
}

static void add(struct tier_redis_owed *owed, const char *name)
{
    char *copy = owed->count < TIER_REDIS_OWED_MAX ? strdup(name) : NULL;
    if (copy)
        owed->names[owed->count++] = copy;
    else
        owed->all++;
}

void tier_redis_owe(struct tier_redis *r, const char *const *names, int count)
{
    lock_take(&r->owed.lock);
    for (int i = 0; i < count; i++)
        add(&r->owed, names[i]);
    show(&r->owed);
    lock_give(&r->owed.lock);
}

void tier_redis_owe_all(struct tier_redis *r)
{
    lock_take(&r->owed.lock);
    r->owed.all++;
    show(&r->owed);
    lock_give(&r->owed.lock);
}

/* Up to TIER_REDIS_NAMES_MAX names, which stay where they are until they are dropped: others only add behind them. */
static int copy_some(struct tier_redis_owed *owed, const char **names, uint64_t *ret_all)
{
    lock_take(&owed->lock);
    int n = owed->count < TIER_REDIS_NAMES_MAX ? owed->count : TIER_REDIS_NAMES_MAX;
    memcpy(names, owed->names, (size_t)n * sizeof *names);
    *ret_all = owed->all != owed->all_done ? owed->all : 0;
    if (*ret_all) { /* those of now are among all */
        forget(owed, owed->count);
        n = 0;
    }
    lock_give(&owed->lock);
    return n;
}

static void settle(struct tier_redis_owed *owed, int count, uint64_t all)
{
    lock_take(&owed->lock);
    forget(owed, count);
    if (all)
        owed->all_done = all;
    show(owed);
    lock_give(&owed->lock);
}

int tier_redis_work_off(struct tier_redis *r, struct error *e)
{
    const char *names[TIER_REDIS_NAMES_MAX];
    uint64_t all;
    int result = 0;
    lock_take(&r->owed.working);
    while (result >= 0 && atomic_load(&r->owed.any)) {
        int n = copy_some(&r->owed, names, &all);
        result =
            all ? tier_redis_sweep(r, "image:*", e) : tier_redis_unlink(r, names, n, clock_monotonic_ms() + WORK_MS, e);
        if (result >= 0)
            settle(&r->owed, n, all);
    }
    lock_give(&r->owed.working);
    return result < 0 ? result : 0;
}
