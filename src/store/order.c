#include "store/order.h"

#include "store/store_proxy.h"
#include "store/store_tiers.h"
#include "tier/tier_redis.h"

enum place order_after(const struct store *store, const char *collection, enum place place)
{
    static const enum place stored[] = {
        [PLACE_MEMORY] = PLACE_DISK,
        [PLACE_DISK] = PLACE_REDIS,
        [PLACE_REDIS] = PLACE_DB,
        [PLACE_DB] = PLACE_NONE,
    };
    static const enum place proxied[] = {
        [PLACE_MEMORY] = PLACE_DISK,
        [PLACE_DISK] = PLACE_REDIS,
        [PLACE_REDIS] = PLACE_ORIGIN,
        [PLACE_ORIGIN] = PLACE_NONE,
    };
    const enum place *order = store_proxies(store, collection) ? proxied : stored;
    place = order[place];
    if (place == PLACE_REDIS && (!store->redis || !tier_redis_is_up(store->redis)))
        place = order[place];
    return place;
}
