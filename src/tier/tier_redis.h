/* Images in Redis, shared by all instances: a hash each, with a time to live.
 *
 *     image:path:<collection>:<path>
 *         the image's hash, or, for an image with an entity, a hash with the one field `see`, the name of:
 *     image:<content_type>:<object_id>:<variant>
 *         that entity's hash, which has the bytes then
 *
 * Fields: data content_type sha256 size updated_at; collection path mtime width height entity_type object_id variant to
 * make the image from; encoding (`zstd` when data is compressed) and fetch_us, what reading it elsewhere has taken; of
 * what comes from an origin etag and checked_us.
 *
 * An image is read by its path key only, and an entity's hash counts only for the path that it names: so that whoever
 * takes the path key away has taken the image away.
 *
 * What could not be dropped while Redis was away is owed, up to TIER_REDIS_OWED_MAX names; beyond that, and after Redis
 * was started anew or another one took its place (it may hold what was dropped from the last one), everything is. Until
 * that is worked off nothing is read. What a process owes at its end is left to the time to live. */
#ifndef TIER_TIER_REDIS_H
#define TIER_TIER_REDIS_H

#include "client/redis.h"
#include "image/image.h"

struct config;

#define TIER_REDIS_READ_MAX 8
#define TIER_REDIS_OWED_MAX 4096

struct tier_redis;

/* What an operator should know, once when it begins and once when it ends; by any thread. */
enum tier_redis_event {
    TIER_REDIS_DOWN, /* the circuit breaker opens */
    TIER_REDIS_UP,
    TIER_REDIS_WRITES_REFUSED, /* it serves what it has and takes nothing more, as when it is full */
    TIER_REDIS_WRITES_ACCEPTED
};

typedef void tier_redis_changed_fn(void *arg, enum tier_redis_event event, const char *why);

/* Connects to nothing yet; the settings are borrowed. -EINVAL, -ENOMEM. */
int tier_redis_open(struct tier_redis **ret, const struct config *config, tier_redis_changed_fn *changed, void *arg,
                    struct error *e) __attribute__((warn_unused_result));
void tier_redis_free(struct tier_redis *r); /* NULL is allowed */

/* Has a connection opened now: one that fails is reported before anybody asks for an image. */
void tier_redis_connect(struct tier_redis *r);

/* Whether asking it is of any use at present. */
int tier_redis_is_up(struct tier_redis *r);

/* Reads up to TIER_REDIS_READ_MAX images together. Each item begins with its struct image_key and is told once, in
 * order: `image` with one reference, the receiver's, its content compared with its sha256; or NULL and why not:
 * -ENOENT, what is damaged included (it is dropped), or another code when Redis could not tell. With `refresh` the
 * image is about to expire, and whoever is told this had better read it elsewhere and put it again. */
typedef void tier_redis_got_fn(void *arg, void *item, struct image *image, int refresh, const struct error *why);

void tier_redis_read(struct tier_redis *r, void *const *items, int count, tier_redis_got_fn *got, void *arg);

/* Puts an image there, which took fetch_us to read elsewhere. -EFBIG: larger than PERDURA_REDIS_MAX_BYTES; -ENOSPC: it
 * refuses images; -ENOTCONN and others: it may be there or not. */
int tier_redis_put(struct tier_redis *r, const struct image *image, int64_t fetch_us, struct error *e)
    __attribute__((warn_unused_result));

/* Drops an image, the entity's hash that its path key names and, with `meta`, the one of that entity. What fails is
 * owed. Takes PERDURA_REDIS_TIMEOUT at most. Returns how many images were there, or why it could not be done yet. */
int tier_redis_drop(struct tier_redis *r, const struct image_key *key, const struct image_meta *meta);

/* Likewise those of up to TIER_REDIS_DROP_MAX images that are not what these rows say. A row without a size, or in the
 * trash, says that there is no image. */
#define TIER_REDIS_DROP_MAX 64
int tier_redis_drop_others(struct tier_redis *r, const struct image_meta *rows, int count);

/* Drops all whose path key or entity's key matches the glob, 10 ms of Redis' time at most at a time. Returns how many
 * there were. When that fails, everything is owed. */
int tier_redis_drop_matching(struct tier_redis *r, const char *pattern);

/* How often tier_redis_drop_matching was called: who puts an image that he has read before the last call drops it. */
uint64_t tier_redis_sweeps(struct tier_redis *r);

/* The name of an entity's image (image_key_named). -ENOENT, or it could not be asked. */
int tier_redis_resolve(struct tier_redis *r, const char *content_type, const char *object_id, const char *variant,
                       char ret_name[IMAGE_NAME_SIZE], struct error *e) __attribute__((warn_unused_result));

/* Whether an image is there, whatever its content: 1 or 0; or why it could not be asked. */
int tier_redis_has(struct tier_redis *r, const struct image_key *key, struct error *e)
    __attribute__((warn_unused_result));

/* From now on images are put for so long. */
void tier_redis_set_ttl(struct tier_redis *r, int seconds);

/* Asks it whether it is there, and waits up to wait_ms for its answer. 0, or why not. */
int tier_redis_ping(struct tier_redis *r, int wait_ms, struct error *e) __attribute__((warn_unused_result));

enum tier_redis_write_state { TIER_REDIS_ACCEPTS, TIER_REDIS_IS_FULL, TIER_REDIS_REFUSES };

struct tier_redis_state {
    struct redis_client_state client;
    int owed; /* images to be dropped before anything is read */
    int owes_all;
    int ttl_s;
    enum tier_redis_write_state writes;
    char refusal[256]; /* why it takes no images; "" while it does */
};

void tier_redis_state(struct tier_redis *r, struct tier_redis_state *ret);

#endif
