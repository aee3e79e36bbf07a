/* The back-off of the database as a whole.
 *
 * It begins when a statement fails for a reason that any other one would have, too, and grows up to OUTAGE_LAST_MS.
 * Meanwhile one file at a time is tried. Only a committed write ends it: a database that is read-only or full answers
 * every question. */
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "watch/watch_internal.h"

#define OUTAGE_FIRST_MS  100
#define REFUSAL_FIRST_MS 3000 /* where the server answers: such states do not pass in a moment */
#define OUTAGE_LAST_MS   3000

void watch_outage_note(struct watch *w, enum db_state state, const struct error *why)
{
    struct watch_outage *o = &w->outage;
    struct pending_count count;
    pending_count(w->pending, &count);
    lock_take(&w->lock);
    int64_t now_ms = clock_monotonic_ms();
    int is_first = o->state == DB_STATE_UP;
    if (is_first)
        *o = (struct watch_outage){.since_ms = now_ms, .writes = o->writes};
    int news = !(o->logged & 1u << state);
    o->state = state;
    o->logged |= 1u << state;
    o->why = *why;
    int64_t first_ms = state == DB_STATE_UNREACHABLE ? OUTAGE_FIRST_MS : REFUSAL_FIRST_MS;
    int64_t pause_ms = o->pause_ms * 2 > first_ms ? o->pause_ms * 2 : first_ms;
    o->pause_ms = pause_ms < OUTAGE_LAST_MS ? pause_ms : OUTAGE_LAST_MS;
    pause_ms = o->pause_ms;
    lock_give(&w->lock);
    pending_hold(w->pending, pause_ms);
    if (news)
        log_event(db_fault_level(why->code), "database does not accept files", LOG_STR("state", db_state_name(state)),
                  LOG_INT("waiting", count.waiting), LOG_STR("error", why->text));
}

/* With the lock held. Returns what has ended. */
static struct watch_outage end(struct watch *w, int64_t now_ms)
{
    struct watch_outage ended = w->outage;
    w->outage = (struct watch_outage){.writes = ended.writes};
    w->drain = (struct watch_drain){.since_ms = now_ms};
    return ended;
}

static void tell_end(struct watch *w, const struct watch_outage *ended, int64_t now_ms)
{
    int64_t waiting = pending_backlog_begin(w->pending);
    pending_hold(w->pending, 0);
    lock_take(&w->lock);
    w->drain.active = waiting > 0;
    w->drain.waited = waiting;
    lock_give(&w->lock);
    log_event(LOG_INFO, "database accepts files again", LOG_STR("state", db_state_name(ended->state)),
              LOG_INT("waiting", waiting), LOG_INT("outage_ms", now_ms - ended->since_ms));
}

void watch_outage_written(struct watch *w)
{
    struct watch_outage ended = {0};
    int64_t now_ms = clock_monotonic_ms();
    lock_take(&w->lock);
    w->outage.writes++;
    if (w->outage.state != DB_STATE_UP)
        ended = end(w, now_ms);
    lock_give(&w->lock);
    if (ended.state != DB_STATE_UP)
        tell_end(w, &ended, now_ms);
}

int64_t watch_outage_writes(struct watch *w)
{
    lock_take(&w->lock);
    int64_t writes = w->outage.writes;
    lock_give(&w->lock);
    return writes;
}

/* Files that waited may turn out to need no write: then nothing tells whether the database would take one. */
static void end_without_write(struct watch *w)
{
    struct pending_count count;
    struct watch_outage ended;
    int64_t now_ms = clock_monotonic_ms();
    pending_count(w->pending, &count);
    if (count.waiting)
        return;
    lock_take(&w->lock);
    ended = end(w, now_ms);
    lock_give(&w->lock);
    if (ended.state != DB_STATE_UP)
        tell_end(w, &ended, now_ms);
}

void watch_outage_settle(struct watch *w)
{
    int64_t stored;
    lock_take(&w->lock);
    int out = w->outage.state != DB_STATE_UP, draining = w->drain.active;
    lock_give(&w->lock);
    if (out)
        end_without_write(w);
    if (out || !draining || pending_backlog(w->pending, &stored))
        return;
    lock_take(&w->lock);
    struct watch_drain drain = w->drain;
    w->drain.active = 0;
    lock_give(&w->lock);
    if (drain.active)
        log_event(LOG_INFO, "files that waited are stored", LOG_INT("waited", drain.waited), LOG_INT("stored", stored),
                  LOG_INT("ms", clock_monotonic_ms() - drain.since_ms));
}

void watch_storage_note(struct watch *w, const struct error *why)
{
    struct pending_count count;
    pending_count(w->pending, &count);
    lock_take(&w->lock);
    int news = !w->storage.code;
    if (news)
        w->storage_since_ms = clock_monotonic_ms();
    w->storage = *why;
    lock_give(&w->lock);
    if (news)
        log_event(LOG_WARN, "object storage does not accept files", LOG_INT("waiting", count.waiting),
                  LOG_STR("error", why->text));
}

void watch_storage_written(struct watch *w)
{
    lock_take(&w->lock);
    int over = w->storage.code != 0;
    int64_t outage_ms = clock_monotonic_ms() - w->storage_since_ms;
    w->storage.code = 0;
    lock_give(&w->lock);
    if (over)
        log_event(LOG_INFO, "object storage accepts files again", LOG_INT("outage_ms", outage_ms));
}
