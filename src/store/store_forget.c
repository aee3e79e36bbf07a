#include "base/metric.h"
#include "store/memo.h"
#include "store/store_tiers.h"
#include "tier/tier_disk.h"
#include "tier/tier_memory.h"

static int is_meant(const struct image_meta *meta, const char *pattern)
{
    return memo_is_meant(&meta->key, pattern);
}

static int counted(int n)
{
    metric_add(METRIC_invalidations, METRIC_none, METRIC_none, n);
    return n;
}

int store_forget(struct store *store, const struct image_key *key)
{
    tier_disk_changed(store->disk, key);
    int n = memo_forget(store->memo, key);
    if (store->memory)
        n += tier_memory_drop(store->memory, key);
    store_fetch_forget(store->fetch, key);
    return counted(n);
}

int store_forget_matching(struct store *store, const char *pattern)
{
    int n = memo_forget_matching(store->memo, pattern);
    if (store->memory)
        n += tier_memory_drop_matching(store->memory, is_meant, pattern);
    store_fetch_forget_matching(store->fetch, pattern);
    return counted(n);
}
