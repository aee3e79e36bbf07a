#include "job/expected.h"

#include <pthread.h>
#include <stdlib.h>

/* A ring; a lookup compares a few thousand numbers at most, which is less than one system call. Size and time to the
 * nanosecond must match as well as the hash, so a collision needs more than bad luck. */
struct entry {
    uint64_t key; /* its hash */
    int64_t size, mtime_ns;
};

struct expected {
    pthread_mutex_t lock;
    size_t max, next, count;
    struct entry entries[];
};

struct expected *expected_new(size_t max)
{
    struct expected *x = calloc(1, sizeof *x + max * sizeof x->entries[0]);
    if (!x)
        return NULL;
    pthread_mutex_init(&x->lock, NULL);
    x->max = max;
    return x;
}

void expected_free(struct expected *x)
{
    if (!x)
        return;
    pthread_mutex_destroy(&x->lock);
    free(x);
}

void expected_add(struct expected *x, const struct image_key *key, int64_t size, int64_t mtime_ns)
{
    pthread_mutex_lock(&x->lock);
    x->entries[x->next] = (struct entry){image_key_hash(key), size, mtime_ns};
    x->next = (x->next + 1) % x->max;
    if (x->count < x->max)
        x->count++;
    pthread_mutex_unlock(&x->lock);
}

int expected_is(struct expected *x, const struct image_key *key, int64_t size, int64_t mtime_ns)
{
    int yes = 0;
    uint64_t h = image_key_hash(key);
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->count && !yes; i++)
        yes = x->entries[i].key == h && x->entries[i].size == size && x->entries[i].mtime_ns == mtime_ns;
    pthread_mutex_unlock(&x->lock);
    return yes;
}
