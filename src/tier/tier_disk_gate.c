/* When an image of a collection was stored or dropped last, and who is about to: numbers, by the path's hash. Two
 * images that share one cost a copy that is withheld for the other's sake. A mark is the last number of all. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tier/tier_disk.h"

#define SLOTS 32768

struct tier_disk_gate {
    struct atomicfile_gate ops;
    pthread_rwlock_t lock; /* read: while a copy gets its name */
    atomic_ullong *count;
    uint64_t last[SLOTS];
    unsigned short under_way[TIER_DISK_KINDS][SLOTS];
};

static size_t slot_of(const char *path)
{
    return image_key_hash(&(struct image_key){"", path}) % SLOTS;
}

static int enter(void *arg, const struct atomicfile *f)
{
    struct tier_disk_gate *g = arg;
    size_t slot = slot_of(f->path);
    pthread_rwlock_rdlock(&g->lock);
    if (g->last[slot] <= f->mark && !g->under_way[TIER_DISK_TAKING][slot] && !g->under_way[TIER_DISK_REPLACING][slot])
        return 0;
    pthread_rwlock_unlock(&g->lock);
    return -ECANCELED;
}

static void leave(void *arg)
{
    struct tier_disk_gate *g = arg;
    pthread_rwlock_unlock(&g->lock);
}

struct tier_disk_gate *tier_disk_gate_new(atomic_ullong *count)
{
    struct tier_disk_gate *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->ops = (struct atomicfile_gate){enter, leave, g};
    g->count = count;
    pthread_rwlock_init(&g->lock, NULL);
    return g;
}

void tier_disk_gate_free(struct tier_disk_gate *g)
{
    if (!g)
        return;
    pthread_rwlock_destroy(&g->lock);
    free(g);
}

const struct atomicfile_gate *tier_disk_gate_ops(const struct tier_disk_gate *g)
{
    return &g->ops;
}

void tier_disk_gate_changed(struct tier_disk_gate *g, const char *path)
{
    size_t slot = slot_of(path);
    pthread_rwlock_wrlock(&g->lock);
    g->last[slot] = atomic_fetch_add(g->count, 1) + 1;
    pthread_rwlock_unlock(&g->lock);
}

int tier_disk_gate_changed_since(struct tier_disk_gate *g, const char *path, uint64_t mark)
{
    pthread_rwlock_rdlock(&g->lock);
    int changed = g->last[slot_of(path)] > mark;
    pthread_rwlock_unlock(&g->lock);
    return changed;
}

void tier_disk_gate_count(struct tier_disk_gate *g, const char *path, enum tier_disk_kind kind, int by)
{
    size_t slot = slot_of(path);
    pthread_rwlock_wrlock(&g->lock);
    g->under_way[kind][slot] = (unsigned short)(g->under_way[kind][slot] + by);
    pthread_rwlock_unlock(&g->lock);
}

int tier_disk_gate_is_under_way(struct tier_disk_gate *g, const char *path, enum tier_disk_kind kind)
{
    size_t slot = slot_of(path);
    pthread_rwlock_rdlock(&g->lock);
    int yes = g->under_way[kind][slot] > 0;
    pthread_rwlock_unlock(&g->lock);
    return yes;
}
