/* Looking at the files that are not persisted, and waiting until they are. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "watch/pending_internal.h"

#define KINDS_MAX 64 /* that are told apart */

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
    lock_take(&p->lock);
    const struct pending_slot *s = pending_find(p, key);
    int yes = s && pending_waits(s);
    lock_give(&p->lock);
    return yes;
}

void pending_scan_begin(struct pending *p)
{
    lock_take(&p->lock);
    p->scan++;
    memcpy(p->untold_before, p->untold, sizeof p->untold);
    memset(p->untold, 0, sizeof p->untold);
    lock_give(&p->lock);
}

void pending_scan_end(struct pending *p, const char *collection)
{
    struct pending_slot *s, *next;
    lock_take(&p->lock);
    HASH_ITER (hh, p->slots, s, next) {
        if (!pending_waits(s) && s->scan != p->scan && strcmp(s->file.key.collection, collection) == 0)
            pending_remove(p, s);
    }
    lock_give(&p->lock);
}

int pending_overflowed(struct pending *p)
{
    lock_take(&p->lock);
    int yes = p->overflowed && HASH_COUNT(p->slots) - pending_remembered(p) < p->max / 4;
    if (yes)
        p->overflowed = 0;
    lock_give(&p->lock);
    return yes;
}

int64_t pending_backlog_begin(struct pending *p)
{
    lock_take(&p->lock);
    p->backlog = p->backlog_stored = 0;
    for (struct pending_slot *s = p->slots; s; s = s->hh.next) {
        s->backlog = pending_waits(s) && !s->file.check;
        p->backlog += s->backlog;
    }
    int64_t n = p->backlog;
    lock_give(&p->lock);
    return n;
}

int64_t pending_backlog(struct pending *p, int64_t *ret_stored)
{
    lock_take(&p->lock);
    int64_t left = p->backlog;
    *ret_stored = p->backlog_stored;
    lock_give(&p->lock);
    return left;
}

uint64_t pending_mark(struct pending *p)
{
    struct pending_slot *s, *next;
    lock_take(&p->lock);
    DL_FOREACH_SAFE(p->later, s, next)
    {
        s->file.unclosed = 0;
        if (!s->file.check)
            pending_place(p, s, PLACE_READY);
    }
    uint64_t mark = p->mark = p->notes;
    lock_give(&p->lock);
    return mark;
}

static int any_before(const struct pending *p, uint64_t mark)
{
    for (const struct pending_slot *s = p->slots; s; s = s->hh.next)
        if (pending_waits(s) && s->noted <= mark)
            return 1;
    return 0;
}

int pending_wait(struct pending *p, uint64_t mark, int64_t deadline_ms)
{
    int r = 0;
    lock_take(&p->lock);
    while (any_before(p, mark)) {
        r = p->stopped ? -ECANCELED : clock_left_ms(deadline_ms) ? 0 : -ETIMEDOUT;
        if (r < 0)
            break;
        pending_wait_until(p, &p->done, deadline_ms);
    }
    lock_give(&p->lock);
    return r;
}

/* Of those that there was no room to remember, the present scan may not have met all yet. */
static int64_t count_judged(const struct pending *p, enum place place)
{
    int64_t untold = p->untold[place] > p->untold_before[place] ? p->untold[place] : p->untold_before[place];
    return (int64_t)p->counts[place] + untold;
}

void pending_count(struct pending *p, struct pending_count *ret)
{
    *ret = (struct pending_count){0};
    lock_take(&p->lock);
    int64_t now_ms = clock_monotonic_ms();
    for (const struct pending_slot *s = p->slots; s; s = s->hh.next) {
        if (!pending_waits(s) || s->file.check)
            continue;
        ret->waiting++;
        ret->waiting_bytes += s->file.size;
        if (now_ms - s->since_ms >= ret->oldest_ms)
            ret->oldest_ms = now_ms - s->since_ms + (now_ms == s->since_ms); /* 0 is for none */
    }
    ret->failed = count_judged(p, PLACE_FAILED);
    ret->older = count_judged(p, PLACE_OLDER);
    ret->not_kept = count_judged(p, PLACE_NOT_KEPT);
    ret->stored = p->stored;
    lock_give(&p->lock);
}

static enum watch_state state_of(const struct pending_slot *s)
{
    return s->place == PLACE_FAILED     ? WATCH_FAILED
           : s->place == PLACE_OLDER    ? WATCH_OLDER
           : s->place == PLACE_NOT_KEPT ? WATCH_NOT_KEPT
                                        : WATCH_PENDING;
}

static const char *why_of(const struct pending_slot *s)
{
    return s->place == PLACE_NOT_KEPT ? "is not an image, and only images are kept"
           : s->why                   ? s->why
           : pending_waits(s)         ? ""
                                      : "out of memory";
}

void pending_list(struct pending *p, unsigned states, int limit, watch_file_fn *tell, void *arg)
{
    lock_take(&p->lock);
    int64_t now_ms = clock_monotonic_ms();
    for (const struct pending_slot *s = p->slots; s && limit > 0; s = s->hh.next) {
        if (!(states & state_of(s)) || (pending_waits(s) && s->file.check))
            continue;
        tell(arg, &(struct watch_file){
                      .key = s->file.key, .state = state_of(s), .age_ms = now_ms - s->since_ms, .why = why_of(s)});
        limit--;
    }
    lock_give(&p->lock);
}

/* "pdf" of "a/b.PDF". */
static void kind_of(char ret[WATCH_KIND_SIZE], const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t n = dot && dot > name ? strlen(dot + 1) : 0;
    int plain = n > 0 && n < WATCH_KIND_SIZE;
    for (size_t i = 0; plain && i < n; i++) {
        ret[i] = (char)tolower((unsigned char)dot[1 + i]);
        plain = isalnum((unsigned char)ret[i]);
    }
    if (plain)
        ret[n] = '\0';
    else
        snprintf(ret, WATCH_KIND_SIZE, "other");
}

static int by_files(const void *a, const void *b)
{
    const struct watch_kind *x = a, *y = b;
    return x->files < y->files ? 1 : x->files > y->files ? -1 : strcmp(x->name, y->name);
}

int pending_kinds(struct pending *p, struct watch_kind *ret, int max)
{
    struct watch_kind all[KINDS_MAX];
    int n = 0;
    lock_take(&p->lock);
    for (const struct pending_slot *s = p->counts[PLACE_NOT_KEPT] ? p->slots : NULL; s; s = s->hh.next) {
        char name[WATCH_KIND_SIZE];
        int i = 0;
        if (s->place != PLACE_NOT_KEPT)
            continue;
        kind_of(name, s->file.key.path);
        while (i < n && strcmp(all[i].name, name) != 0)
            i++;
        if (i == KINDS_MAX)
            continue;
        if (i == n) {
            memcpy(all[n].name, name, sizeof name);
            all[n++].files = 0;
        }
        all[i].files++;
    }
    lock_give(&p->lock);
    qsort(all, (size_t)n, sizeof all[0], by_files);
    n = n < max ? n : max;
    memcpy(ret, all, (size_t)n * sizeof all[0]);
    return n;
}
