/* What the files of store/ share. */
#ifndef STORE_STORE_TIERS_H
#define STORE_STORE_TIERS_H

#include <stdatomic.h>

#include "client/db.h"
#include "store/store.h"

struct store {
    const struct config *config;
    struct db_pool *pool;
    struct semaphore *turns;
    struct tier_db *db;
    struct tier_disk *disk;
    struct tier_memory *memory;  /* NULL: nothing is kept */
    struct tier_redis *redis;    /* NULL: none */
    struct tier_object *objects; /* what rows only name */
    struct tier_copies *copies;  /* of images that have an origin */
    struct tier_origin *origin;
    atomic_ullong forgets; /* how often something was forgotten; raised before it is */
    struct negcache *negcache;
    struct inflight *inflight;
    struct entity_cache *entities;
    struct own_writes *own_writes;
    struct store_fetch *fetch;
    struct store_proxy *proxy;
};

/* Whether an image of so many bytes may be sent from memory: it is small, or there is room beside the memory tier's
 * images. A client may take its time to receive. */
#define STORE_SMALL_MAX (256 << 10)
int store_has_room(const struct store *store, int64_t bytes);

/* Gets a connection, runs one query on it and puts it back. */
int store_query_within(struct store *store, const struct sql_query *query, const struct db_params *params, int lock_ms,
                       struct db_result **ret, struct error *e) __attribute__((warn_unused_result)); /* 0: no limit */
int store_query(struct store *store, const struct sql_query *query, const struct db_params *params,
                struct db_result **ret, struct error *e) __attribute__((warn_unused_result));

/* store_forget for an image that has, or is to have, the entity of this meta. */
int store_forget_image(struct store *store, const struct image_key *key, const struct image_meta *meta);

/* Others may tell of writes as long as the store is open. NULL when out of memory. */
struct store_fetch *store_fetch_new(struct store *store);
void store_fetch_free(struct store_fetch *f); /* stopped; NULL is allowed */

/* As store_fetch_start and store_fetch_stop, for a command: its reads have no time limit, and at the end
 * the files of all that was read are written. */
int store_fetch_begin(struct store *store, struct error *e) __attribute__((warn_unused_result));
void store_fetch_end(struct store *store);

/* Puts the image of this row into Redis, if it runs (redis_fill_share). */
struct redis_fill_since;
void store_fetch_share(struct store_fetch *f, const struct image_meta *row, const struct redis_fill_since *since);

/* Whether a changed row is what was written here, or what the file here is: nothing is older then, and who is copying
 * it at this moment may go on. */
int store_is_known(struct store *store, const struct image_meta *row);

/* What was looked up of an image before now, or of those that a pattern means, is not remembered. Returns how much was.
 */
int store_forget_lookups(struct store *store, const struct image_key *key);
int store_forget_lookups_matching(struct store *store, const char *pattern);

/* As store_forget, but for Redis. */
int store_forget_here(struct store *store, const struct image_key *key);

/* Whoever asks from now on is not given what is being read of this image, or of those that a pattern means. */
void store_fetch_forget(struct store_fetch *f, const struct image_key *key);
void store_fetch_forget_matching(struct store_fetch *f, const char *pattern);

#endif
