#include "base/metric.h"
#include "store/memo.h"
#include "store/store_tiers.h"
#include "tier/tier_disk.h"
#include "tier/tier_memory.h"
#include "tier/tier_redis.h"

static int is_meant(const struct image_meta *meta, const char *pattern)
{
    return memo_is_meant(&meta->key, pattern);
}

static int counted(int n)
{
    metric_add(METRIC_invalidations, METRIC_none, METRIC_none, n);
    return n;
}

/* How many were there, 0 when it could not be told. */
static int drop_from_redis(struct store *store, const struct image_key *key, const struct image_meta *meta)
{
    int n = store->redis ? tier_redis_drop(store->redis, key, meta) : 0;
    return n > 0 ? n : 0;
}

/* Two marks: who puts a copy into Redis looks for the first one after that, and what was read from Redis before it was
 * dropped there is older than the second. */
int store_forget_image(struct store *store, const struct image_key *key, const struct image_meta *meta)
{
    tier_disk_changed(store->disk, key);
    int n = drop_from_redis(store, key, meta);
    if (store->redis)
        tier_disk_changed(store->disk, key);
    n += memo_forget(store->memo, key);
    if (store->memory)
        n += tier_memory_drop(store->memory, key);
    store_fetch_forget(store->fetch, key);
    return counted(n);
}

int store_forget(struct store *store, const struct image_key *key)
{
    return store_forget_image(store, key, NULL);
}

int store_forget_matching(struct store *store, const char *pattern)
{
    int n = store->redis ? tier_redis_drop_matching(store->redis, pattern) : 0;
    n = n > 0 ? n : 0;
    n += memo_forget_matching(store->memo, pattern);
    if (store->memory)
        n += tier_memory_drop_matching(store->memory, is_meant, pattern);
    store_fetch_forget_matching(store->fetch, pattern);
    return counted(n);
}
