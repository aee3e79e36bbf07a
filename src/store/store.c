#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/semaphore.h"
#include "client/db_grants.h"
#include "config/config.h"
#include "store/entity_cache.h"
#include "store/inflight.h"
#include "store/negcache.h"
#include "store/own_writes.h"
#include "store/store_proxy.h"
#include "store/store_tiers.h"
#include "tier/tier_copies.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_memory.h"
#include "tier/tier_object.h"
#include "tier/tier_origin.h"
#include "tier/tier_redis.h"

#define QUERY_TIMEOUT_MS 60000
#define MEMORY_SPARE     (16 << 20) /* of images on their way, beside the memory tier's */

static void log_notice(void *arg, const char *text)
{
    (void)arg;
    log_event(LOG_WARN, "database warning", LOG_STR("error", text));
}

static void log_redis(void *arg, enum tier_redis_event event, const char *why)
{
    (void)arg;
    switch (event) {
    case TIER_REDIS_DOWN:
        log_event(LOG_WARN, "redis unavailable, circuit breaker open", LOG_STR("error", why));
        break;
    case TIER_REDIS_UP:
        log_fields(LOG_INFO, "redis available again", NULL, 0);
        break;
    case TIER_REDIS_WRITES_REFUSED:
        log_event(LOG_WARN, "redis refuses writes", LOG_STR("error", why));
        break;
    case TIER_REDIS_WRITES_ACCEPTED:
        log_fields(LOG_INFO, "redis accepts writes again", NULL, 0);
        break;
    }
}

static void log_origin(void *arg, const char *collection, int up, const char *why)
{
    (void)arg;
    if (up)
        log_event(LOG_INFO, "origin available again", LOG_STR("collection", collection));
    else
        log_event(LOG_WARN, "origin unavailable, circuit breaker open", LOG_STR("collection", collection),
                  LOG_STR("error", why));
}

int store_open(struct store **ret, const struct config *config, struct error *e)
{
    if (!config->database_url)
        return error_set(e, -EINVAL,
                         "DATABASE_URL is not set; accepted: postgresql://user:password@host:port/database");

    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(e, -ENOMEM, "out of memory");
    struct db_options options = {
        .url = config->database_url,
        .max_connections = config->db_pool,
        .prepared = config->db_prepared,
        .measured = 1,
        .timeout_ms = QUERY_TIMEOUT_MS,
        .on_notice = log_notice,
    };
    int r = db_pool_open(&store->pool, &options, e);
    if (r < 0)
        goto fail;
    store->config = config;
    store->turns = semaphore_new();
    store->db = tier_db_new(store->pool, config->inline_max_bytes);
    r = tier_object_open(&store->objects, config, e);
    if (r < 0)
        goto fail;
    store->disk =
        tier_disk_new(config->collections, config->collections_len, config->inline_max_bytes, TIER_OBJECT_MAX_BYTES);
    if (config->memory_items)
        store->memory = tier_memory_new(config->memory_bytes, config->memory_items, config->memory_ttl_s);
    store->negcache = negcache_new(&store->forgets);
    store->inflight = inflight_new(&store->forgets);
    store->entities = entity_cache_new(&store->forgets);
    store->own_writes = own_writes_new();
    store->fetch = store_fetch_new(store);
    store->copies = tier_copies_new(config);
    store->proxy = store_proxy_new(store);
    if (!store->turns || !store->db || !store->disk || !store->negcache || !store->inflight || !store->entities ||
        !store->own_writes || !store->fetch || (config->memory_items && !store->memory) || !store->copies ||
        !store->proxy) {
        r = error_set(e, -ENOMEM, "out of memory");
        goto fail;
    }
    if (config->redis.hosts_len)
        r = tier_redis_open(&store->redis, config, log_redis, NULL, e);
    if (r == 0)
        r = tier_origin_open(&store->origin, config, log_origin, NULL, e);
    if (r < 0)
        goto fail;
    *ret = store;
    return 0;

fail:
    store_close(store);
    return r;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store_proxy_free(store->proxy);
    store_fetch_free(store->fetch);
    own_writes_free(store->own_writes);
    entity_cache_free(store->entities);
    inflight_free(store->inflight);
    negcache_free(store->negcache);
    tier_memory_free(store->memory);
    tier_origin_close(store->origin);
    tier_redis_free(store->redis);
    tier_copies_free(store->copies);
    tier_disk_free(store->disk);
    tier_object_close(store->objects);
    tier_db_free(store->db);
    semaphore_free(store->turns);
    db_pool_close(store->pool);
    free(store);
}

struct db_pool *store_pool(struct store *store)
{
    return store->pool;
}

struct semaphore *store_semaphore(struct store *store)
{
    return store->turns;
}

const struct config *store_config(const struct store *store)
{
    return store->config;
}

int store_unavailable(int code)
{
    return code == -EHOSTDOWN || db_unavailable(code);
}

int store_query_within(struct store *store, const struct sql_query *query, const struct db_params *params, int lock_ms,
                       struct db_result **ret, struct error *e)
{
    struct db_conn *conn;
    int r = db_get(store->pool, &conn, e);
    if (r < 0)
        return r;
    if (lock_ms)
        db_statement_limits(conn, lock_ms, QUERY_TIMEOUT_MS);
    r = db_query(conn, query, params, ret, e);
    if (r < 0)
        r = db_name_grants(conn, r, e);
    db_put(conn);
    return r;
}

int store_query(struct store *store, const struct sql_query *query, const struct db_params *params,
                struct db_result **ret, struct error *e)
{
    return store_query_within(store, query, params, 0, ret, e);
}

int store_has_room(const struct store *store, int64_t bytes)
{
    return bytes <= STORE_SMALL_MAX || image_bytes_held() <= store->config->memory_bytes + MEMORY_SPARE;
}
