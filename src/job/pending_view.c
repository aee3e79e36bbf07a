/* Looking at the files that are not persisted, and waiting until they are. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "job/pending_table.h"

int pending_own_fault(int code)
{
    switch (code) {
    case -EINVAL:
    case -EFBIG:
    case -EILSEQ:
    case -ENAMETOOLONG:
    case -EXDEV:
    case -ELOOP:
    case -ENOENT:
    case -ENOTDIR:
    case -EISDIR:
    case -ENXIO:
    case -ENOTSUP:
        return 1;
    default:
        return 0;
    }
}

int pending_is(struct pending *p, const struct image_key *key)
{
    pthread_mutex_lock(&p->lock);
    const struct slot *s = pending_find(p, key);
    int yes = s && s->place != PLACE_FAILED && s->place != PLACE_SETTLED;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

void pending_scan_begin(struct pending *p)
{
    pthread_mutex_lock(&p->lock);
    p->scan++;
    p->untold = 0;
    pthread_mutex_unlock(&p->lock);
}

void pending_scan_end(struct pending *p, const char *collection)
{
    struct slot *s, *next;
    pthread_mutex_lock(&p->lock);
    HASH_ITER (hh, p->slots, s, next) {
        if ((s->place == PLACE_FAILED || s->place == PLACE_SETTLED) && s->scan != p->scan &&
            strcmp(s->file.key.collection, collection) == 0)
            pending_remove(p, s);
    }
    pthread_mutex_unlock(&p->lock);
}

int pending_overflowed(struct pending *p)
{
    pthread_mutex_lock(&p->lock);
    int yes = p->overflowed && HASH_COUNT(p->slots) - p->remembered < p->max / 4;
    if (yes)
        p->overflowed = 0;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

uint64_t pending_mark(struct pending *p)
{
    struct slot *s, *next;
    pthread_mutex_lock(&p->lock);
    DL_FOREACH_SAFE(p->later, s, next)
    {
        s->file.unclosed = 0;
        if (!s->file.check)
            pending_place(p, s, PLACE_READY);
    }
    uint64_t mark = p->notes;
    pthread_mutex_unlock(&p->lock);
    return mark;
}

static int waits(const struct slot *s)
{
    return s->place != PLACE_FAILED && s->place != PLACE_SETTLED;
}

static int any_before(const struct pending *p, uint64_t mark)
{
    for (const struct slot *s = p->slots; s; s = s->hh.next)
        if (waits(s) && s->noted <= mark)
            return 1;
    return 0;
}

int pending_wait(struct pending *p, uint64_t mark, int64_t deadline_ms)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    while (any_before(p, mark)) {
        r = p->stopped ? -ECANCELED : clock_left_ms(deadline_ms) ? 0 : -ETIMEDOUT;
        if (r < 0)
            break;
        pending_wait_until(p, &p->done, deadline_ms);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

void pending_count(struct pending *p, struct pending_count *ret)
{
    *ret = (struct pending_count){0};
    pthread_mutex_lock(&p->lock);
    int64_t now_ms = clock_monotonic_ms();
    for (const struct slot *s = p->slots; s; s = s->hh.next) {
        if (s->place == PLACE_FAILED) {
            ret->failed++;
            ret->failed_for_no_fault += !pending_own_fault(s->why_code);
        } else if (waits(s) && !s->file.check) {
            ret->waiting++;
            ret->waiting_bytes += s->file.size;
            if (now_ms - s->since_ms >= ret->oldest_ms)
                ret->oldest_ms = now_ms - s->since_ms + (now_ms == s->since_ms); /* 0 is for none */
        }
    }
    ret->failed += p->untold;
    ret->stored = p->stored;
    pthread_mutex_unlock(&p->lock);
}

void pending_list(struct pending *p, int limit,
                  void (*tell)(void *arg, const struct image_key *key, int64_t age_ms, const struct error *why),
                  void *arg)
{
    pthread_mutex_lock(&p->lock);
    int64_t now_ms = clock_monotonic_ms();
    for (const struct slot *s = p->slots; s && limit > 0; s = s->hh.next) {
        struct error why = {0};
        if (s->place == PLACE_SETTLED || (waits(s) && s->file.check))
            continue;
        if (s->place == PLACE_FAILED)
            error_set(&why, s->why_code, "%s", s->why ? s->why : "out of memory");
        tell(arg, &s->file.key, now_ms - s->since_ms, &why);
        limit--;
    }
    pthread_mutex_unlock(&p->lock);
}
