#include "base/metric.h"
#include "store/inflight.h"
#include "store/negcache.h"
#include "store/own_writes.h"
#include "store/pattern.h"
#include "store/store_proxy.h"
#include "store/store_tiers.h"
#include "tier/tier_disk.h"
#include "tier/tier_memory.h"
#include "tier/tier_redis.h"

static int is_meant(const struct image_meta *meta, const char *pattern)
{
    return pattern_means(&meta->key, pattern);
}

/* Those that were there; a negative number is a failure. */
static int counted(int n)
{
    n = n > 0 ? n : 0;
    metric_add(METRIC_invalidations, METRIC_none, METRIC_none, n);
    return n;
}

int store_forget_lookups(struct store *store, const struct image_key *key)
{
    store->forgets++;
    return negcache_forget(store->negcache, key) + inflight_forget(store->inflight, key);
}

int store_forget_lookups_matching(struct store *store, const char *pattern)
{
    store->forgets++;
    return negcache_forget_matching(store->negcache, pattern) + inflight_forget_matching(store->inflight, pattern);
}

int store_forget_here(struct store *store, const struct image_key *key)
{
    tier_disk_changed(store->disk, key);
    int n = store_forget_lookups(store, key);
    if (store->memory)
        n += tier_memory_drop(store->memory, key);
    store_fetch_forget(store->fetch, key);
    n += store_proxy_forget(store, key);
    return counted(n);
}

/* Two marks: who puts a copy into Redis looks for the first one after that, and what was read from Redis before it was
 * dropped there is older than the second. */
int store_forget_image(struct store *store, const struct image_key *key, const struct image_meta *meta)
{
    int n = 0;
    if (store->redis) {
        tier_disk_changed(store->disk, key);
        n = counted(tier_redis_drop(store->redis, key, meta));
    }
    n += store_forget_here(store, key);
    if (meta && meta->size)
        own_writes_add(store->own_writes, meta, OWN_WRITE);
    return n;
}

void store_committed(struct store *store, const struct image_meta *row)
{
    (void)store_forget(store, &row->key);
    own_writes_add(store->own_writes, row, OWN_WRITE_OF_FILE);
}

int store_is_known(struct store *store, const struct image_meta *row)
{
    return own_writes_find(store->own_writes, row) || (!row->deleted_us && store_file_matches(store, row) == 1);
}

void store_forget_shared(struct store *store, const struct image_meta *rows, int count)
{
    if (!store->redis)
        return;
    for (int i = 0; i < count; i++)
        if (!store_is_known(store, &rows[i]))
            tier_disk_changed(store->disk, &rows[i].key);
    for (int i = 0; i < count; i += TIER_REDIS_DROP_MAX) {
        int some = count - i < TIER_REDIS_DROP_MAX ? count - i : TIER_REDIS_DROP_MAX;
        (void)counted(tier_redis_drop_others(store->redis, &rows[i], some));
    }
}

int store_forget(struct store *store, const struct image_key *key)
{
    return store_forget_image(store, key, NULL);
}

int store_forget_matching(struct store *store, const char *pattern)
{
    int shared = store->redis ? counted(tier_redis_drop_matching(store->redis, pattern)) : 0;
    int n = store_forget_lookups_matching(store, pattern) + store_proxy_forget_matching(store, pattern);
    if (store->memory)
        n += tier_memory_drop_matching(store->memory, is_meant, pattern);
    store_fetch_forget_matching(store->fetch, pattern);
    return shared + counted(n);
}
