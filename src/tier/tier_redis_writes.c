/* Redis that is full, or takes nothing for another reason, is read all the same. Each image that it refuses costs a
 * round trip and the image's transfer: so after a refusal none is put for a second, after each further one for twice as
 * long, up to half a minute. A full one whose images expire takes one now and then: it counts as accepting again only
 * when it has refused none for ten seconds. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "tier/tier_redis_internal.h"

#define PAUSE_FIRST_MS   1000
#define PAUSE_LONGEST_MS 30000
#define STEADY_MS        10000

void tier_redis_writes_init(struct tier_redis_writes *w)
{
    lock_init(&w->lock, LOCK_redis_writes);
    metric_set(METRIC_redis_writes_refused, METRIC_none, METRIC_none, 0);
}

void tier_redis_writes_release(struct tier_redis_writes *w)
{
    lock_destroy(&w->lock);
}

int tier_redis_may_write(struct tier_redis *r, struct error *e)
{
    struct tier_redis_writes *w = &r->writes;
    lock_take(&w->lock);
    int may = w->state == TIER_REDIS_ACCEPTS || clock_monotonic_ms() >= w->until_ms;
    if (!may)
        error_set(e, -ENOSPC, "%s", w->why);
    lock_give(&w->lock);
    return may ? 0 : -ENOSPC;
}

static void change(struct tier_redis *r, enum tier_redis_event event, const char *why)
{
    metric_set(METRIC_redis_writes_refused, METRIC_none, METRIC_none, event == TIER_REDIS_WRITES_REFUSED);
    if (r->changed)
        r->changed(r->changed_arg, event, why);
}

void tier_redis_note_accepted(struct tier_redis *r)
{
    struct tier_redis_writes *w = &r->writes;
    lock_take(&w->lock);
    int changed = w->state != TIER_REDIS_ACCEPTS && clock_monotonic_ms() - w->refused_ms >= STEADY_MS;
    if (changed) {
        w->state = TIER_REDIS_ACCEPTS;
        w->pause_ms = 0;
        w->why[0] = '\0';
    }
    lock_give(&w->lock);
    if (changed)
        change(r, TIER_REDIS_WRITES_ACCEPTED, "");
}

void tier_redis_note_refused(struct tier_redis *r, const char *said)
{
    struct tier_redis_writes *w = &r->writes;
    char why[sizeof w->why];
    int is_full = strncmp(said, "OOM", 3) == 0;
    if (is_full)
        (void)snprintf(why, sizeof why,
                       "Redis is full: raise its maxmemory, or set maxmemory-policy to allkeys-lru (%.100s)", said);
    else
        (void)snprintf(why, sizeof why, "Redis refuses to store images: %.200s", said);
    lock_take(&w->lock);
    int changed = w->state == TIER_REDIS_ACCEPTS;
    w->state = is_full ? TIER_REDIS_IS_FULL : TIER_REDIS_REFUSES;
    w->pause_ms = w->pause_ms ? 2 * w->pause_ms : PAUSE_FIRST_MS;
    if (w->pause_ms > PAUSE_LONGEST_MS)
        w->pause_ms = PAUSE_LONGEST_MS;
    w->refused_ms = clock_monotonic_ms();
    w->until_ms = w->refused_ms + w->pause_ms;
    memcpy(w->why, why, sizeof why);
    lock_give(&w->lock);
    metric_inc(METRIC_redis_errors);
    if (changed)
        change(r, TIER_REDIS_WRITES_REFUSED, why);
}
