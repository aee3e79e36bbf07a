#include "job/expected.h"

#include <pthread.h>
#include <stdlib.h>

/* A ring; a lookup compares a few thousand numbers at most, which is less than one system call. */
struct entry {
    uint64_t key;
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

/* FNV-1a. Size and time to the nanosecond must match as well, so a collision needs more than bad luck. */
static uint64_t hash(uint64_t h, const char *text)
{
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return h;
}

static uint64_t hash_key(const struct image_key *key)
{
    return hash(hash(UINT64_C(0xcbf29ce484222325), key->collection), key->path);
}

void expected_add(struct expected *x, const struct image_key *key, int64_t size, int64_t mtime_ns)
{
    pthread_mutex_lock(&x->lock);
    x->entries[x->next] = (struct entry){hash_key(key), size, mtime_ns};
    x->next = (x->next + 1) % x->max;
    if (x->count < x->max)
        x->count++;
    pthread_mutex_unlock(&x->lock);
}

int expected_is(struct expected *x, const struct image_key *key, int64_t size, int64_t mtime_ns)
{
    int yes = 0;
    uint64_t h = hash_key(key);
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->count && !yes; i++)
        yes = x->entries[i].key == h && x->entries[i].size == size && x->entries[i].mtime_ns == mtime_ns;
    pthread_mutex_unlock(&x->lock);
    return yes;
}
