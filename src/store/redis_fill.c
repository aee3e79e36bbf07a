#include "store/redis_fill.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/workers.h"
#include "config/config.h"
#include "fs/filestate.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_redis.h"

#define REFRESH_MS        1500 /* for the database: whoever ends us does not wait for more */
#define WAITING_MAX       1024
#define WAITING_BYTES_MAX (32 << 20) /* one more image may be above */

struct redis_fill {
    struct store *store;
    struct workers *workers;
    atomic_llong bytes; /* of those that wait */
};

struct redis_order {
    struct image *image;
    enum { GIVEN, FROM_DB, FROM_DISK } source; /* of its bytes */
    struct redis_fill_since since;
    int64_t fetch_us;
};

struct redis_fill_since redis_fill_now(struct store *store)
{
    return (struct redis_fill_since){tier_disk_epoch(store->disk), tier_redis_sweeps(store->redis),
                                     clock_realtime_us()};
}

static void free_order(void *arg, void *item)
{
    struct redis_fill *f = arg;
    struct redis_order *order = item;
    atomic_fetch_sub(&f->bytes, order->image->meta.size);
    image_unref(order->image);
    free(order);
}

/* It was changed after it was read, perhaps: then whoever changed it may have dropped it before it was put. */
static int is_stale(const struct store *store, const struct redis_order *order)
{
    return tier_disk_changed_since(store->disk, &order->image->meta.key, order->since.mark) ||
           tier_redis_sweeps(store->redis) != order->since.sweeps;
}

static void put(const struct store *store, const struct redis_order *order)
{
    const struct image_meta *meta = &order->image->meta;
    if (is_stale(store, order))
        return;
    (void)!tier_redis_put(store->redis, order->image, order->fetch_us, NULL);
    if (is_stale(store, order))
        (void)!tier_redis_drop(store->redis, &meta->key, meta);
}

static void take_refreshed(void *arg, void *key, struct image *image, const struct error *why)
{
    struct redis_order *order = arg;
    (void)key;
    (void)why;
    order->fetch_us = clock_realtime_us() - order->since.us;
    if (image && image_verify(&image->meta, image->bytes, (size_t)image->meta.size, NULL) < 0) {
        image_unref(image);
    } else if (image) {
        image_unref(order->image);
        order->image = image;
        order->source = GIVEN;
    }
}

/* What is gone meanwhile, or can't be read, runs out in Redis by itself. */
static void refresh(struct redis_fill *f, struct redis_order *order)
{
    void *key = &order->image->meta.key;
    int64_t size = order->image->meta.size;
    order->since = redis_fill_now(f->store);
    db_deadline(clock_monotonic_ms() + REFRESH_MS);
    tier_db_read(f->store->db, &key, 1, take_refreshed, order);
    atomic_fetch_add(&f->bytes, order->image->meta.size - size);
}

/* The file's bytes under the row's meta, which names the entity. */
static void load(struct redis_fill *f, struct redis_order *order)
{
    struct image *file, *image = NULL;
    struct filestate state;
    if (tier_disk_open(f->store->disk, &order->image->meta.key, &file, &state, NULL) < 0)
        return;
    if (memcmp(file->meta.sha256, order->image->meta.sha256, sizeof file->meta.sha256) == 0 &&
        (image = image_new(&order->image->meta)) && tier_disk_read_into(file, &state, image->bytes) == 0) {
        image_unref(order->image);
        order->image = image_ref(image);
        order->source = GIVEN;
    }
    image_unref(image);
    image_unref(file);
}

static void redis_fill_run(void *arg, struct workers *w)
{
    struct redis_fill *f = arg;
    struct redis_order *order;
    while ((order = workers_take(w))) {
        if (order->source == FROM_DB)
            refresh(f, order);
        else if (order->source == FROM_DISK && !is_stale(f->store, order))
            load(f, order);
        if (order->source == GIVEN)
            put(f->store, order);
        free_order(f, order);
    }
}

static void push(struct redis_fill *f, struct image *image, const struct redis_order *what)
{
    struct redis_order *order = malloc(sizeof *order);
    if (!order)
        return;
    *order = *what;
    order->image = image_ref(image);
    int64_t waiting = atomic_fetch_add(&f->bytes, image->meta.size);
    if (waiting >= WAITING_BYTES_MAX || workers_push_now(f->workers, order) < 0)
        free_order(f, order);
}

void redis_fill_put(struct redis_fill *f, struct image *image, const struct redis_fill_since *since)
{
    if (image->meta.size > f->store->config->redis_max_bytes || !tier_redis_is_up(f->store->redis))
        return;
    push(f, image, &(struct redis_order){.since = *since, .fetch_us = clock_realtime_us() - since->us});
}

void redis_fill_refresh(struct redis_fill *f, struct image *image)
{
    push(f, image, &(struct redis_order){.source = FROM_DB});
}

void redis_fill_share(struct redis_fill *f, const struct image_meta *row, const struct redis_fill_since *since)
{
    if (row->size > f->store->config->redis_max_bytes || row->url || !tier_redis_is_up(f->store->redis))
        return;
    struct image *described = image_new_file(row, -1);
    if (!described)
        return;
    push(f, described, &(struct redis_order){.source = FROM_DISK, .since = *since});
    image_unref(described);
}

int redis_fill_start(struct redis_fill **ret, struct store *store)
{
    struct redis_fill *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->store = store;
    int r = workers_start(&f->workers, "redis-fill", 1, WAITING_MAX, redis_fill_run, f);
    if (r < 0)
        free(f);
    else
        *ret = f;
    return r;
}

void redis_fill_stop(struct redis_fill *f)
{
    if (!f)
        return;
    workers_stop(f->workers);
    workers_finish(f->workers, free_order, f);
    free(f);
}
