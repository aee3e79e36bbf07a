#include "watch/own_events.h"

#include <stdlib.h>

#include "base/lock.h"

/* A ring; a lookup compares a few thousand numbers at most, which is less than one system call. Size and time to the
 * nanosecond must match as well as the hash, so a collision needs more than bad luck. */
struct entry {
    uint64_t key; /* its hash */
    int64_t size, mtime_ns;
};

struct own_events {
    struct lock lock;
    size_t max, next, count;
    struct entry entries[];
};

struct own_events *own_events_new(size_t max)
{
    struct own_events *x = calloc(1, sizeof *x + max * sizeof x->entries[0]);
    if (!x)
        return NULL;
    lock_init(&x->lock, LOCK_own_events);
    x->max = max;
    return x;
}

void own_events_free(struct own_events *x)
{
    if (!x)
        return;
    lock_destroy(&x->lock);
    free(x);
}

void own_events_add(struct own_events *x, const struct image_key *key, int64_t size, int64_t mtime_ns)
{
    lock_take(&x->lock);
    x->entries[x->next] = (struct entry){image_key_hash(key), size, mtime_ns};
    x->next = (x->next + 1) % x->max;
    if (x->count < x->max)
        x->count++;
    lock_give(&x->lock);
}

int own_events_take(struct own_events *x, const struct image_key *key, int64_t size, int64_t mtime_ns)
{
    int yes = 0;
    uint64_t h = image_key_hash(key);
    lock_take(&x->lock);
    for (size_t i = 0; i < x->count && !yes; i++) {
        struct entry *one = &x->entries[i];
        yes = one->key == h && one->size == size && one->mtime_ns == mtime_ns;
        if (yes)
            *one = (struct entry){.size = -1};
    }
    lock_give(&x->lock);
    return yes;
}
