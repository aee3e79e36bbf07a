#include "watch/pending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "watch/pending_internal.h"

#define FOUND_MAX 4096 /* a scan waits for its turn, so that uploads never queue behind it */

struct pending *pending_new(size_t max)
{
    struct pending *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    clock_cond_init(&p->due);
    clock_cond_init(&p->done);
    lock_init(&p->lock, LOCK_pending);
    p->max = max;
    p->next_due_ms = INT64_MAX;
    return p;
}

void pending_free(struct pending *p)
{
    struct pending_slot *s, *next;
    if (!p)
        return;
    HASH_ITER (hh, p->slots, s, next)
        pending_remove(p, s);
    pthread_cond_destroy(&p->due);
    pthread_cond_destroy(&p->done);
    lock_destroy(&p->lock);
    free(p);
}

void pending_stop(struct pending *p)
{
    lock_take(&p->lock);
    p->stopped = 1;
    pthread_cond_broadcast(&p->due);
    pthread_cond_broadcast(&p->done);
    lock_give(&p->lock);
}

/* Collections have no slash in their names, so no two keys share an id. A path too long to be stored may be cut. */
size_t pending_id(char id[PENDING_ID_SIZE], const struct image_key *key)
{
    int n = snprintf(id, PENDING_ID_SIZE, "%s/%s", key->collection, key->path);
    return n < PENDING_ID_SIZE ? (size_t)n : PENDING_ID_SIZE - 1;
}

struct pending_slot *pending_find(struct pending *p, const struct image_key *key)
{
    char id[PENDING_ID_SIZE];
    struct pending_slot *s;
    size_t len = pending_id(id, key);
    HASH_FIND(hh, p->slots, id, len, s);
    return s;
}

static struct pending_slot *add(struct pending *p, const struct image_key *key)
{
    char id[PENDING_ID_SIZE];
    size_t len = pending_id(id, key), collection_len = strlen(key->collection);
    struct pending_slot *s = calloc(1, sizeof *s + 2 * (len + 1));
    if (!s)
        return NULL;
    char *collection = s->id + len + 1;
    memcpy(s->id, id, len + 1);
    memcpy(collection, id, len + 1);
    collection[collection_len] = '\0';
    s->file.key = (struct image_key){collection, collection + collection_len + 1};
    s->id_len = len;
    s->place = PLACE_TAKEN; /* in no list */
    s->since_ms = clock_monotonic_ms();
    s->scan = p->scan;
    HASH_ADD_KEYPTR(hh, p->slots, s->id, s->id_len, s);
    if (s->hh.tbl)
        return s;
    free(s);
    return NULL;
}

static void unlist(struct pending *p, struct pending_slot *s)
{
    if (s->place == PLACE_READY)
        DL_DELETE(p->ready, s);
    else if (s->place == PLACE_FOUND)
        DL_DELETE(p->found, s);
    else if (s->place == PLACE_SUSPECT)
        DL_DELETE(p->suspects, s);
    else if (s->place == PLACE_LATER)
        DL_DELETE(p->later, s);
    if (s->place != PLACE_TAKEN)
        p->counts[s->place]--;
}

void pending_place(struct pending *p, struct pending_slot *s, enum place place)
{
    if (s->file.suspect && (place == PLACE_READY || place == PLACE_FOUND))
        place = PLACE_SUSPECT;
    unlist(p, s);
    s->place = place;
    if (place != PLACE_TAKEN)
        p->counts[place]++;
    if (place == PLACE_READY) {
        DL_APPEND(p->ready, s);
        pthread_cond_signal(&p->due);
    } else if (place == PLACE_FOUND) {
        DL_APPEND(p->found, s);
        pthread_cond_signal(&p->due);
    } else if (place == PLACE_SUSPECT) {
        DL_APPEND(p->suspects, s);
        pthread_cond_signal(&p->due);
    } else if (place == PLACE_LATER) {
        DL_APPEND(p->later, s);
        if (s->due_ms < p->next_due_ms) {
            p->next_due_ms = s->due_ms;
            pthread_cond_signal(&p->due);
        }
    }
}

size_t pending_remembered(const struct pending *p)
{
    return p->counts[PLACE_FAILED] + p->counts[PLACE_OLDER] + p->counts[PLACE_NOT_KEPT];
}

void pending_remove(struct pending *p, struct pending_slot *s)
{
    unlist(p, s);
    p->backlog -= s->backlog;
    HASH_DEL(p->slots, s);
    free(s->file.row);
    free(s->why);
    free(s);
}

/* What failed begins anew when its file changes, age included. */
static void begin_anew(struct pending *p, struct pending_slot *s)
{
    s->since_ms = clock_monotonic_ms();
    s->tries = 0;
    HASH_DEL(p->slots, s);
    HASH_ADD_KEYPTR(hh, p->slots, s->id, s->id_len, s);
}

/* One that waits already keeps its number: a flush may be waiting for that. */
static void queue(struct pending *p, struct pending_slot *s, int64_t delay_ms, enum place place)
{
    if (!s->noted || !pending_waits(s))
        s->noted = ++p->notes;
    s->due_ms = clock_monotonic_ms() + delay_ms;
    pending_place(p, s, delay_ms ? PLACE_LATER : place);
}

static void note_again(struct pending *p, struct pending_slot *s, int found)
{
    if (!s->again)
        s->again = ++p->notes;
    s->found_again |= found;
}

static int note(struct pending *p, const struct image_key *key, int64_t size, int64_t delay_ms, int unclosed)
{
    int r = 0;
    lock_take(&p->lock);
    struct pending_slot *s = pending_find(p, key);
    if (!s && (HASH_COUNT(p->slots) >= p->max || !(s = add(p, key)))) {
        p->overflowed = 1;
        r = -ENOSPC;
    } else if (s->place == PLACE_TAKEN && s->noted) {
        note_again(p, s, 0);
    } else {
        if (!pending_waits(s) || s->file.check) {
            begin_anew(p, s);
            s->file.found = 0;
        }
        s->file.check = 0;
        s->file.unclosed = unclosed;
        s->file.size = size;
        if (s->place != PLACE_READY && s->place != PLACE_SUSPECT)
            queue(p, s, delay_ms, PLACE_READY);
    }
    lock_give(&p->lock);
    return r;
}

int pending_note(struct pending *p, const struct image_key *key, int64_t size, int64_t delay_ms)
{
    return note(p, key, size, delay_ms, 0);
}

int pending_note_unclosed(struct pending *p, const struct image_key *key, int64_t size, int64_t delay_ms)
{
    return note(p, key, size, delay_ms, 1);
}

/* Whether it was judged already, and nothing has changed since. */
static int judged(const struct pending_slot *s, const struct pending_stamp *stamp)
{
    return !pending_waits(s) && (s->place != PLACE_FAILED || pending_own_fault(s->why_code)) &&
           memcmp(&s->file.stamp, stamp, sizeof *stamp) == 0;
}

int pending_found(struct pending *p, const struct image_key *key, const struct pending_stamp *stamp, int64_t delay_ms)
{
    int r = 0;
    lock_take(&p->lock);
    while (!p->stopped && (p->counts[PLACE_FOUND] >= FOUND_MAX || HASH_COUNT(p->slots) >= p->max))
        pthread_cond_wait(&p->done, &p->lock.mutex);
    struct pending_slot *s = pending_find(p, key);
    if (p->stopped) {
        r = -ECANCELED;
    } else if (!s && !(s = add(p, key))) {
        r = -ENOMEM;
    } else if (!s->noted) {
        s->file.size = stamp->size;
        s->file.found = 1;
        queue(p, s, delay_ms, PLACE_FOUND);
        r = 1;
    } else if (s->place == PLACE_TAKEN) { /* it may have changed since it was read, and nobody may have told */
        note_again(p, s, 1);
    } else if (s->file.check || !pending_waits(s)) {
        if (!judged(s, stamp)) {
            s->file.check = 0;
            s->file.found = 1;
            s->file.size = stamp->size;
            queue(p, s, delay_ms, PLACE_FOUND);
        }
    } else {
        s->file.found = 1;
    }
    if (s)
        s->scan = p->scan;
    lock_give(&p->lock);
    return r;
}

int pending_failed(struct pending *p, const struct image_key *key, const struct error *why)
{
    int news = 0;
    lock_take(&p->lock);
    struct pending_slot *s = pending_find(p, key);
    if (!s && HASH_COUNT(p->slots) < p->max)
        s = add(p, key);
    if (!s) {
        p->untold[PLACE_FAILED]++;
    } else if (s->place != PLACE_TAKEN || !s->noted) {
        s->noted = ++p->notes;
        news = pending_remember(p, s, PLACE_FAILED, why);
    }
    lock_give(&p->lock);
    return news;
}

void pending_forget(struct pending *p, const struct image_key *key)
{
    lock_take(&p->lock);
    struct pending_slot *s = pending_find(p, key);
    if (s && !pending_waits(s))
        pending_remove(p, s);
    lock_give(&p->lock);
}
