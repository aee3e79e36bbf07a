#include "tier/tier_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"

#define SHARDS_MAX      16
#define ITEMS_PER_SHARD 256       /* fewer images share one shard: small queues decide badly */
#define IMAGE_MAX       (1 << 20) /* larger ones are sent as cheaply from their files */
#define IMAGE_SHARE     16        /* one image may take this part of all bytes */
#define SMALL_SHARE     10        /* of all that is kept, the small queue has this part */
#define USES_MAX        3

enum queue { SMALL, MAIN, QUEUES };

struct memory_item {
    struct image *image;
    struct image_extra *extra;
    struct filestate state;
    int64_t until_ms;
    int64_t bytes;
    enum queue queue;
    unsigned char uses; /* since it was put into its queue */
    struct memory_item *prev, *next;
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

/* An image that has left the small queue: if it comes again, it is in use. */
struct ghost {
    uint64_t hash;
    UT_hash_handle hh;
};

struct shard {
    struct lock lock;
    struct memory_item *table;
    struct memory_item *queue[QUEUES]; /* the first one goes next */
    int64_t bytes[QUEUES];
    int items[QUEUES];
    struct ghost *ghosts; /* in the order of arrival */
};

struct tier_memory {
    int64_t max_bytes, image_max, max_files;
    atomic_int max_items, ttl_ms;
    atomic_llong bytes, items, files; /* of all shards; files are the open ones among the items */
    unsigned shards;
    struct shard shard[];
};

/* Whoever sends a file may keep up to eight descriptors of it besides ours (http/response.c), and connections take half
 * of all: three eighths of them are for files. */
static int64_t most_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    return limit.rlim_max == RLIM_INFINITY ? INT64_MAX : (int64_t)(limit.rlim_max / 24);
}

struct tier_memory *tier_memory_new(int64_t max_bytes, int max_items, int ttl_s)
{
    unsigned shards = 1;
    while (shards < SHARDS_MAX && max_items / (int)(2 * shards) >= ITEMS_PER_SHARD)
        shards *= 2;
    struct tier_memory *m = calloc(1, sizeof *m + shards * sizeof m->shard[0]);
    if (!m)
        return NULL;
    m->max_bytes = max_bytes;
    m->image_max = max_bytes / IMAGE_SHARE < IMAGE_MAX ? max_bytes / IMAGE_SHARE : IMAGE_MAX;
    m->max_files = most_files();
    m->shards = shards;
    tier_memory_limit(m, max_items, ttl_s);
    for (unsigned i = 0; i < shards; i++)
        lock_init(&m->shard[i].lock, LOCK_memory_shard);
    return m;
}

void tier_memory_limit(struct tier_memory *m, int max_items, int ttl_s)
{
    atomic_store(&m->max_items, max_items);
    atomic_store(&m->ttl_ms, ttl_s * 1000);
}

int64_t tier_memory_image_max(const struct tier_memory *m)
{
    return m->image_max;
}

void memory_hit_release(struct memory_hit *hit)
{
    image_unref(hit->image);
    image_extra_unref(hit->extra);
}

static void tell(const struct tier_memory *m)
{
    metric_set(METRIC_tier_items, METRIC_tier_memory, METRIC_none, atomic_load(&m->items));
    metric_set(METRIC_tier_bytes, METRIC_tier_memory, METRIC_none, atomic_load(&m->bytes));
}

/* For these, the shard's lock is held. */
static void enqueue(struct shard *s, struct memory_item *item, enum queue queue)
{
    item->queue = queue;
    item->uses = 0;
    DL_APPEND(s->queue[queue], item);
    s->bytes[queue] += item->bytes;
    s->items[queue]++;
}

static void dequeue(struct shard *s, struct memory_item *item)
{
    DL_DELETE(s->queue[item->queue], item);
    s->bytes[item->queue] -= item->bytes;
    s->items[item->queue]--;
}

/* Off the shard; its content is for the caller to free, after the lock. */
static void take_out(struct tier_memory *m, struct shard *s, struct memory_item *item)
{
    dequeue(s, item);
    HASH_DEL(s->table, item);
    atomic_fetch_sub(&m->bytes, item->bytes);
    atomic_fetch_sub(&m->items, 1);
    atomic_fetch_sub(&m->files, item->bytes == 0);
}

static void free_items(struct memory_item *list)
{
    struct memory_item *one, *next;
    LL_FOREACH_SAFE(list, one, next)
    {
        image_unref(one->image);
        image_extra_unref(one->extra);
        free(one);
    }
}

static void drop_ghost(struct shard *s, struct ghost *ghost)
{
    HASH_DEL(s->ghosts, ghost); /* NOLINT(clang-analyzer-unix.Malloc): in a loop it takes the table's head for freed */
    free(ghost);
}

/* As many are remembered as there are images. */
static void remember(struct shard *s, const struct memory_item *item, int max_items)
{
    struct ghost *ghost = malloc(sizeof *ghost), *there;
    if (!ghost)
        return;
    ghost->hash = image_key_hash(&item->image->meta.key);
    HASH_REPLACE(hh, s->ghosts, hash, sizeof ghost->hash, ghost, there);
    free(there);
    for (int over = (int)HASH_COUNT(s->ghosts) - max_items; over > 0; over--)
        drop_ghost(s, s->ghosts); /* NOLINT(clang-analyzer-unix.Malloc): likewise */
}

static int was_remembered(struct shard *s, const struct image_key *key)
{
    uint64_t hash = image_key_hash(key);
    struct ghost *ghost;
    HASH_FIND(hh, s->ghosts, &hash, sizeof hash, ghost);
    if (ghost)
        drop_ghost(s, ghost);
    return ghost != NULL;
}

struct limits {
    int64_t bytes;
    int items;
};

static struct limits limits_of(const struct tier_memory *m)
{
    int items = atomic_load_explicit(&m->max_items, memory_order_relaxed);
    return (struct limits){m->max_bytes / m->shards, (items + (int)m->shards - 1) / (int)m->shards};
}

static int is_over(const struct shard *s, const struct limits *max)
{
    return s->bytes[SMALL] + s->bytes[MAIN] > max->bytes || s->items[SMALL] + s->items[MAIN] > max->items;
}

static int small_is_over(const struct shard *s, const struct limits *max)
{
    return s->bytes[SMALL] > max->bytes / SMALL_SHARE || s->items[SMALL] > max->items / SMALL_SHARE;
}

/* One step of the paper's evictS or evictM: moves an item, or takes one out. */
static struct memory_item *evict(struct tier_memory *m, struct shard *s, const struct limits *max)
{
    struct memory_item *item = s->queue[small_is_over(s, max) || !s->queue[MAIN] ? SMALL : MAIN];
    if (item->queue == SMALL && item->uses > 1) {
        dequeue(s, item);
        enqueue(s, item, MAIN);
        return NULL;
    }
    if (item->queue == MAIN && item->uses > 0) {
        unsigned char uses = item->uses;
        dequeue(s, item);
        enqueue(s, item, MAIN);
        item->uses = (unsigned char)(uses - 1);
        return NULL;
    }
    if (item->queue == SMALL)
        remember(s, item, max->items);
    take_out(m, s, item);
    metric_add(METRIC_evictions, METRIC_tier_memory, METRIC_none, 1);
    return item;
}

static struct shard *shard_of(struct tier_memory *m, const struct image_key *key)
{
    return &m->shard[(image_key_hash(key) >> 32) % m->shards];
}

static struct memory_item *find(const struct shard *s, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct memory_item *item;
    HASH_FIND(hh, s->table, name, len, item);
    return item;
}

int tier_memory_find(struct tier_memory *m, const struct image_key *key, struct memory_hit *ret)
{
    struct shard *s = shard_of(m, key);
    struct memory_item *late = NULL;
    lock_take(&s->lock);
    struct memory_item *item = find(s, key);
    if (item && item->until_ms < clock_monotonic_ms()) {
        late = item;
        item = NULL;
        take_out(m, s, late);
    }
    if (item) {
        item->uses = item->uses < USES_MAX ? (unsigned char)(item->uses + 1) : USES_MAX;
        ret->image = image_ref(item->image);
        ret->extra = item->extra ? image_extra_ref(item->extra) : NULL;
        ret->state = item->state;
        ret->bytes = item->bytes;
    }
    lock_give(&s->lock);
    if (late) {
        late->next = NULL;
        free_items(late);
        tell(m);
    }
    return item ? 0 : -ENOENT;
}

static struct memory_item *make_item(struct tier_memory *m, struct image *image, int64_t bytes,
                                     const struct filestate *state)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&image->meta.key, name);
    struct memory_item *item = calloc(1, sizeof *item + len);
    if (!item)
        return NULL;
    item->image = image_ref(image);
    item->state = *state;
    item->until_ms = clock_monotonic_ms() + atomic_load_explicit(&m->ttl_ms, memory_order_relaxed);
    item->bytes = bytes;
    item->name_len = len;
    memcpy(item->name, name, len);
    return item;
}

void tier_memory_put(struct tier_memory *m, struct image *image, int64_t bytes, const struct filestate *state)
{
    struct shard *s = shard_of(m, &image->meta.key);
    struct limits max = limits_of(m);
    if (bytes == 0 && atomic_load(&m->files) >= m->max_files) {
        (void)tier_memory_drop(m, &image->meta.key);
        return;
    }
    struct memory_item *item = make_item(m, image, bytes, state), *gone = NULL, *there;
    if (!item)
        return;
    lock_take(&s->lock);
    there = find(s, &image->meta.key);
    enum queue queue = there ? there->queue : was_remembered(s, &image->meta.key) ? MAIN : SMALL;
    if (there) {
        take_out(m, s, there);
        LL_PREPEND(gone, there);
    }
    HASH_ADD(hh, s->table, name[0], item->name_len, item);
    enqueue(s, item, queue);
    item->uses = there ? there->uses : 0;
    atomic_fetch_add(&m->bytes, item->bytes);
    atomic_fetch_add(&m->items, 1);
    atomic_fetch_add(&m->files, item->bytes == 0);
    while (is_over(s, &max)) {
        there = evict(m, s, &max);
        if (there)
            LL_PREPEND(gone, there);
    }
    lock_give(&s->lock);
    free_items(gone);
    tell(m);
}

void tier_memory_attach(struct tier_memory *m, const struct image *image, struct image_extra *extra)
{
    struct shard *s = shard_of(m, &image->meta.key);
    lock_take(&s->lock);
    struct memory_item *item = find(s, &image->meta.key);
    if (item && item->image == image && !item->extra)
        item->extra = image_extra_ref(extra);
    lock_give(&s->lock);
}

int tier_memory_drop(struct tier_memory *m, const struct image_key *key)
{
    struct shard *s = shard_of(m, key);
    lock_take(&s->lock);
    struct memory_item *item = find(s, key);
    if (item) {
        take_out(m, s, item);
        item->next = NULL;
    }
    lock_give(&s->lock);
    free_items(item);
    tell(m);
    return item != NULL;
}

int tier_memory_drop_matching(struct tier_memory *m, int (*meant)(const struct image_meta *meta, const char *pattern),
                              const char *pattern)
{
    struct memory_item *item, *next, *gone;
    int n = 0;
    for (unsigned i = 0; i < m->shards; i++) {
        struct shard *s = &m->shard[i];
        gone = NULL;
        lock_take(&s->lock);
        HASH_ITER (hh, s->table, item, next) {
            if (!meant(&item->image->meta, pattern))
                continue;
            take_out(m, s, item);
            LL_PREPEND(gone, item);
            n++;
        }
        lock_give(&s->lock);
        free_items(gone);
    }
    tell(m);
    return n;
}

static void empty(struct shard *s)
{
    struct memory_item *item = s->table, *next;
    struct ghost *ghost = s->ghosts, *then;
    HASH_CLEAR(hh, s->table);
    for (; item; item = next) {
        next = item->hh.next;
        item->next = NULL;
        free_items(item);
    }
    HASH_CLEAR(hh, s->ghosts);
    for (; ghost; ghost = then) {
        then = ghost->hh.next;
        free(ghost);
    }
}

void tier_memory_free(struct tier_memory *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->shards; i++) {
        empty(&m->shard[i]);
        lock_destroy(&m->shard[i].lock);
    }
    free(m);
}
