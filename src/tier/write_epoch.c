/* When an image of a collection was stored or dropped last, and who is about to: numbers, by the path's hash. Two
 * images that share one cost a copy that is withheld for the other's sake. A mark is the last number of all. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/lock.h"
#include "tier/tier_disk.h"

#define SLOTS 32768

struct write_epoch {
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

static void take_shared(struct write_epoch *g)
{
    lock_note_taken(LOCK_write_epoch);
    pthread_rwlock_rdlock(&g->lock);
}

static void take_alone(struct write_epoch *g)
{
    lock_note_taken(LOCK_write_epoch);
    pthread_rwlock_wrlock(&g->lock);
}

static void give(struct write_epoch *g)
{
    pthread_rwlock_unlock(&g->lock);
    lock_note_given(LOCK_write_epoch);
}

static int enter(void *arg, const struct atomicfile *f)
{
    struct write_epoch *g = arg;
    size_t slot = slot_of(f->path);
    take_shared(g);
    if (g->last[slot] <= f->mark && !g->under_way[TIER_DISK_TAKING][slot] && !g->under_way[TIER_DISK_REPLACING][slot])
        return 0;
    give(g);
    return -ECANCELED;
}

static void leave(void *arg)
{
    struct write_epoch *g = arg;
    give(g);
}

struct write_epoch *write_epoch_new(atomic_ullong *count)
{
    struct write_epoch *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->ops = (struct atomicfile_gate){enter, leave, g};
    g->count = count;
    pthread_rwlock_init(&g->lock, NULL);
    return g;
}

void write_epoch_free(struct write_epoch *g)
{
    if (!g)
        return;
    pthread_rwlock_destroy(&g->lock);
    free(g);
}

const struct atomicfile_gate *write_epoch_ops(const struct write_epoch *g)
{
    return &g->ops;
}

void write_epoch_changed(struct write_epoch *g, const char *path)
{
    size_t slot = slot_of(path);
    take_alone(g);
    g->last[slot] = atomic_fetch_add(g->count, 1) + 1;
    give(g);
}

int write_epoch_changed_since(struct write_epoch *g, const char *path, uint64_t mark)
{
    take_shared(g);
    int changed = g->last[slot_of(path)] > mark;
    give(g);
    return changed;
}

void write_epoch_count(struct write_epoch *g, const char *path, enum tier_disk_kind kind, int by)
{
    size_t slot = slot_of(path);
    take_alone(g);
    g->under_way[kind][slot] = (unsigned short)(g->under_way[kind][slot] + by);
    give(g);
}

int write_epoch_is_under_way(struct write_epoch *g, const char *path, enum tier_disk_kind kind)
{
    size_t slot = slot_of(path);
    take_shared(g);
    int yes = g->under_way[kind][slot] > 0;
    give(g);
    return yes;
}
