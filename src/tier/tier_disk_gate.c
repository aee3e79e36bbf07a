/* What was stored or dropped lately: a ring of hashes. A mark is how many there had been. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tier/tier_disk.h"

#define CHANGES_MAX 4096

struct tier_disk_gate {
    struct atomicfile_gate ops;
    pthread_rwlock_t lock; /* read: while a copy gets its name */
    uint64_t count;
    uint64_t paths[CHANGES_MAX];
};

/* FNV-1a. Without the collection: a copy that is withheld for another's sake is made the next time. */
static uint64_t hash(const char *path)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *path; path++)
        h = (h ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
    return h;
}

/* What the ring has forgotten may have been this one. */
static int changed_since(const struct tier_disk_gate *g, uint64_t path, uint64_t mark)
{
    int changed = g->count - mark > CHANGES_MAX;
    for (uint64_t i = mark; i < g->count && !changed; i++)
        changed = g->paths[i % CHANGES_MAX] == path;
    return changed;
}

static int enter(void *arg, const struct atomicfile *f)
{
    struct tier_disk_gate *g = arg;
    uint64_t path = hash(f->path);
    pthread_rwlock_rdlock(&g->lock);
    if (!changed_since(g, path, f->mark))
        return 0;
    pthread_rwlock_unlock(&g->lock);
    return -ECANCELED;
}

static void leave(void *arg)
{
    struct tier_disk_gate *g = arg;
    pthread_rwlock_unlock(&g->lock);
}

struct tier_disk_gate *tier_disk_gate_new(void)
{
    struct tier_disk_gate *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->ops = (struct atomicfile_gate){enter, leave, g};
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
    uint64_t h = hash(path);
    pthread_rwlock_wrlock(&g->lock);
    g->paths[g->count++ % CHANGES_MAX] = h;
    pthread_rwlock_unlock(&g->lock);
}

uint64_t tier_disk_gate_mark(struct tier_disk_gate *g)
{
    pthread_rwlock_rdlock(&g->lock);
    uint64_t mark = g->count;
    pthread_rwlock_unlock(&g->lock);
    return mark;
}
