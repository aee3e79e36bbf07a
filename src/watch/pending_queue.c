/* Handing files out and taking them back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "watch/pending_internal.h"

#define CHECK_MS         25 /* a tick of the kernel's clock is 10 ms at most */
#define RETRY_FIRST_MS   500
#define RETRY_LONGEST_MS 60000

/* While the database refuses all, files that it has refused are tried first, and one of them several times in a row:
 * they cost less than another file, whose row has to be looked up. The first ones get few tries, in case that one of
 * them is the reason. */
#define FIRST_FILES         2
#define TRIES_OF_FIRST      2
#define TRIES_OF_LATER_ONES 16

void pending_wait_until(struct pending *p, pthread_cond_t *cond, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX) {
        pthread_cond_wait(cond, &p->lock.mutex);
        return;
    }
    struct timespec until = clock_timespec(deadline_ms * 1000000);
    pthread_cond_timedwait(cond, &p->lock.mutex, &until);
}

/* Moves what is due by now from `later` on. */
static void wake_due(struct pending *p, int64_t now_ms)
{
    struct pending_slot *s, *next;
    if (now_ms < p->next_due_ms)
        return;
    p->next_due_ms = INT64_MAX;
    DL_FOREACH_SAFE(p->later, s, next)
    {
        if (s->due_ms <= now_ms)
            pending_place(p, s, PLACE_READY);
        else if (s->due_ms < p->next_due_ms)
            p->next_due_ms = s->due_ms;
    }
}

/* The list whose turn it is: of suspects, one at a time, and then of new files before those that a scan found. */
static struct pending_slot **next_list(struct pending *p)
{
    if (p->one_at_a_time && p->alone_out)
        return NULL;
    if (p->suspects && !p->alone_out && !p->one_at_a_time)
        return &p->suspects;
    return p->ready ? &p->ready : p->found ? &p->found : p->suspects && !p->alone_out ? &p->suspects : NULL;
}

/* Waits until one has something. NULL once stopped. */
static struct pending_slot **wait_for_list(struct pending *p)
{
    while (!p->stopped) {
        int64_t now_ms = clock_monotonic_ms();
        if (p->hold_until_ms > now_ms) {
            pending_wait_until(p, &p->due, p->hold_until_ms);
            continue;
        }
        wake_due(p, now_ms);
        struct pending_slot **list = next_list(p);
        if (list)
            return list;
        pending_wait_until(p, &p->due, p->next_due_ms);
    }
    return NULL;
}

int pending_take(struct pending *p, struct pending_file **files, int max, int share)
{
    int n = 0;
    lock_take(&p->lock);
    struct pending_slot **list = wait_for_list(p);
    if (list) {
        int alone = p->one_at_a_time || list == &p->suspects;
        int part = (int)p->counts[list == &p->ready ? PLACE_READY : PLACE_FOUND] / share;
        int wanted = alone || part < 1 ? 1 : part < max ? part : max;
        for (struct pending_slot *s; n < wanted && (s = *list);) {
            if (n && strcmp(files[0]->key.collection, s->file.key.collection) != 0)
                break;
            pending_place(p, s, PLACE_TAKEN);
            s->file.urgent = s->noted <= p->mark;
            s->file.alone = alone;
            files[n++] = &s->file;
        }
        p->alone_out |= alone;
        pthread_cond_broadcast(&p->done); /* a scan may have found no room */
    }
    lock_give(&p->lock);
    return n;
}

/* Failures find room when the table is full of files that are not kept. */
static int has_room(const struct pending *p, enum place place)
{
    return place == PLACE_FAILED ? p->counts[PLACE_FAILED] < p->max / 4
                                 : p->counts[PLACE_OLDER] + p->counts[PLACE_NOT_KEPT] < p->max / 4;
}

/* `why` is NULL where the place says it all. Returns 1 when a failure is news. */
int pending_remember(struct pending *p, struct pending_slot *s, enum place place, const struct error *why)
{
    int news = place == PLACE_FAILED && (!s->why || strcmp(s->why, why->text) != 0);
    s->scan = p->scan;
    s->file.check = 0;
    if (s->place != place && !has_room(p, place)) {
        p->untold[place]++;
        pending_remove(p, s);
        return news;
    }
    free(s->why);
    s->why = why ? strdup(why->text) : NULL;
    s->why_code = why ? why->code : 0;
    pending_place(p, s, place);
    return news;
}

/* Whether a file that was refused during an outage, alone, is tried again before any other one. */
static int is_tried_again(struct pending *p, const struct pending_slot *s)
{
    if (p->tried != s) {
        p->tried = s;
        p->tries_of_it = 0;
        p->files_tried++;
    }
    return ++p->tries_of_it < (p->files_tried <= FIRST_FILES ? TRIES_OF_FIRST : TRIES_OF_LATER_ONES);
}

/* Whatever a second look found, the next one compares the file with its row. */
static void retry(struct pending *p, struct pending_slot *s, int in_a_while, int alone)
{
    int64_t delay_ms = 0;
    s->file.check = 0;
    if (in_a_while) {
        unsigned shift = s->tries < 7 ? s->tries++ : 7;
        delay_ms = (int64_t)RETRY_FIRST_MS << shift;
        if (delay_ms > RETRY_LONGEST_MS)
            delay_ms = RETRY_LONGEST_MS;
    }
    s->due_ms = clock_monotonic_ms() + delay_ms;
    pending_place(p, s, delay_ms ? PLACE_LATER : PLACE_READY);
    if (s->place == PLACE_READY && p->one_at_a_time && (!alone || is_tried_again(p, s))) {
        DL_DELETE(p->ready, s);
        DL_PREPEND(p->ready, s);
    }
}

/* A new note came while it was taken, and the old content was dealt with: there is new one. */
static void again(struct pending *p, struct pending_slot *s)
{
    s->noted = s->again;
    s->again = 0;
    s->tries = 0;
    s->file.check = 0;
    s->file.found = s->found_again;
    s->found_again = 0;
    s->file.unclosed = 0;
    s->since_ms = clock_monotonic_ms();
    pending_place(p, s, PLACE_READY);
}

static void end_alone(struct pending *p, struct pending_file *f)
{
    if (!f->alone)
        return;
    f->alone = 0;
    p->alone_out = 0;
    pthread_cond_broadcast(&p->due);
}

void pending_release(struct pending *p, struct pending_file *f)
{
    lock_take(&p->lock);
    end_alone(p, f);
    lock_give(&p->lock);
}

/* One that the database refuses as a whole stays in the backlog: it was not taken in. */
static void count_backlog(struct pending *p, struct pending_slot *s, enum pending_end end, const struct error *why)
{
    if (!s->backlog || (end == PENDING_RETRY && !why))
        return;
    s->backlog = 0;
    p->backlog--;
    p->backlog_stored += end == PENDING_STORED || end == PENDING_CHECK;
}

static void keep_reason(struct pending_slot *s, const struct error *why)
{
    free(s->why);
    s->why = why ? strdup(why->text) : NULL;
    s->why_code = why ? why->code : 0;
}

static void count_stored(struct pending *p, const struct pending_slot *s)
{
    p->stored++;
    metric_inc(METRIC_persisted);
    metric_add(METRIC_persisted_bytes, METRIC_none, METRIC_none, s->file.size);
    metric_observe(METRIC_persist_seconds, METRIC_none, METRIC_none, (clock_monotonic_ms() - s->since_ms) * 1000);
}

int pending_finish(struct pending *p, struct pending_file *f, enum pending_end end, const struct error *why)
{
    struct pending_slot *s = (struct pending_slot *)(void *)f;
    int news = 0, alone = f->alone;
    lock_take(&p->lock);
    if (end == PENDING_STORED || end == PENDING_CHECK)
        count_stored(p, s);
    else if (end == PENDING_FAILED)
        metric_inc(METRIC_persist_failures);
    end_alone(p, f);
    count_backlog(p, s, end, why);
    if (end == PENDING_RETRY)
        keep_reason(s, why);
    if (end == PENDING_STORED || end == PENDING_CHECK)
        f->suspect = f->refused = 0;
    if (s->again && end == PENDING_RETRY) { /* neither was: its number and its age are those of the old one */
        s->again = 0;
        f->unclosed = 0;
        f->found |= s->found_again;
        s->found_again = 0;
        retry(p, s, f->suspect, alone);
    } else if (s->again) {
        again(p, s);
    } else if (end == PENDING_STORED || end == PENDING_NOTHING) {
        pending_remove(p, s);
    } else if (end == PENDING_CHECK) {
        f->check = 1;
        s->due_ms = clock_monotonic_ms() + CHECK_MS;
        pending_place(p, s, PLACE_LATER);
    } else if (end == PENDING_RETRY) {
        retry(p, s, why != NULL, alone);
    } else {
        static const enum place places[] = {
            [PENDING_OLDER] = PLACE_OLDER, [PENDING_NOT_KEPT] = PLACE_NOT_KEPT, [PENDING_FAILED] = PLACE_FAILED};
        news = pending_remember(p, s, places[end], end == PENDING_NOT_KEPT ? NULL : why);
    }
    pthread_cond_broadcast(&p->done);
    lock_give(&p->lock);
    return news;
}

void pending_hold(struct pending *p, int64_t ms)
{
    lock_take(&p->lock);
    p->hold_until_ms = ms ? clock_monotonic_ms() + ms : 0;
    p->one_at_a_time = ms > 0;
    if (!ms) {
        p->tried = NULL;
        p->files_tried = 0;
        pthread_cond_broadcast(&p->due);
    }
    lock_give(&p->lock);
}
