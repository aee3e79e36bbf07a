/* What is at hand is looked at by the thread that a request arrived on: a lookup, and one system call to see whether it
 * is still the file that it was read from. So is a file that has been read before, if the kernel has it at hand. */
#include "store/store_hot.h"

#include <errno.h>

#include "base/metric.h"
#include "config/config.h"
#include "store/store_proxy.h"
#include "store/store_tiers.h"
#include "tier/tier_copies.h"
#include "tier/tier_disk.h"
#include "tier/tier_memory.h"

#define COPIED_MAX (128 << 10) /* bytes; to copy more would hold up other requests */

/* The state of what is the image's file now. -ESTALE: it is no more what it was, or too old. */
static int state_of(const struct store *store, const struct image_key *key, const struct memory_hit *hit,
                    struct filestate *ret)
{
    if (!store_proxies(store, key->collection))
        return tier_disk_state(store->disk, key, ret);
    int r = tier_copies_state(store->copies, key, ret);
    if (r == 0)
        return store_proxy_is_fresh(store, key, ret->mtime_ns / 1000) ? 0 : -ESTALE;
    if (hit->state.ino || !store_proxy_is_fresh(store, key, hit->image->meta.checked_us))
        return r;
    *ret = hit->state; /* it could not be put on disk */
    return 0;
}

/* Finds it if its file is as `wanted`: 0, the same as it was; -ENOENT, gone. */
static int find(struct store *store, const struct image_key *key, int wanted, struct memory_hit *ret)
{
    struct filestate now;
    if (!store->memory || tier_memory_find(store->memory, key, ret) < 0)
        return -ENOENT;
    int r = state_of(store, key, ret, &now);
    if (r == 0 && !filestate_equal(&now, &ret->state))
        r = -EBUSY;
    if (r == wanted)
        return 0;
    memory_hit_release(ret);
    return -ENOENT;
}

/* Opens a file that is known. Larger ones are left to those who may take their time to copy them. */
static int open_known(struct store *store, const struct image_key *key, struct store_hot *ret)
{
    struct filestate state;
    struct image *file;
    if (tier_disk_open_known(store->disk, key, &file, &state) < 0)
        return -ENOENT;
    if (file->meta.size > COPIED_MAX) {
        image_unref(file);
        return -ENOENT;
    }
    *ret = (struct store_hot){.image = store_hot_keep(store, file, &state), .tier = "disk"};
    metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
    return 0;
}

int store_hot(struct store *store, const struct image_key *key, struct store_hot *ret)
{
    struct memory_hit hit;
    if (find(store, key, 0, &hit) < 0) {
        metric_add(METRIC_read_misses, METRIC_tier_memory, METRIC_none, 1);
        return open_known(store, key, ret);
    }
    int in_memory = hit.bytes > 0;
    *ret = (struct store_hot){hit.image, hit.extra, in_memory ? "memory" : "disk", 1};
    metric_add(METRIC_reads, in_memory ? METRIC_tier_memory : METRIC_tier_disk, METRIC_none, 1);
    return 0;
}

void store_hot_attach(struct store *store, const struct image *image, struct image_extra *extra)
{
    tier_memory_attach(store->memory, image, extra);
}

void store_hot_limit(struct store *store, int max_items)
{
    if (store->memory)
        tier_memory_limit(store->memory, max_items, store->config->memory_ttl_s);
}

struct image *store_hot_keep(struct store *store, struct image *file, const struct filestate *state)
{
    struct image *copy;
    if (!store->memory)
        return file;
    if (file->meta.size > tier_memory_image_max(store->memory)) {
        tier_memory_put(store->memory, file, 0, state);
        return file;
    }
    if (tier_disk_load(file, state, &copy) < 0)
        return file;
    tier_memory_put(store->memory, copy, file->meta.size, state);
    image_unref(file);
    return copy;
}

struct image *store_hot_left(struct store *store, const struct image_key *key)
{
    struct memory_hit hit;
    if (find(store, key, -ENOENT, &hit) < 0)
        return NULL;
    image_extra_unref(hit.extra);
    return hit.image;
}
