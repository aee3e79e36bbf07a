/* Images as Redis knows them: names of keys, hashes of fields. Private to tier/tier_redis*.c. */
#ifndef TIER_TIER_REDIS_HASH_H
#define TIER_TIER_REDIS_HASH_H

#include "base/buf.h"
#include "client/redis.h"
#include "fs/safepath.h"
#include "image/image.h"

#define TIER_REDIS_KEY_SIZE (IMAGE_COLLECTION_MAX + SAFEPATH_MAX + 32)

enum tier_redis_field {
    TIER_REDIS_SEE,
    TIER_REDIS_DATA,
    TIER_REDIS_ENCODING,
    TIER_REDIS_CONTENT_TYPE,
    TIER_REDIS_SHA256,
    TIER_REDIS_SIZE,
    TIER_REDIS_UPDATED_AT,
    TIER_REDIS_COLLECTION,
    TIER_REDIS_PATH,
    TIER_REDIS_MTIME,
    TIER_REDIS_WIDTH,
    TIER_REDIS_HEIGHT,
    TIER_REDIS_ENTITY_TYPE,
    TIER_REDIS_OBJECT_ID,
    TIER_REDIS_VARIANT,
    TIER_REDIS_FETCH_US,
    TIER_REDIS_ETAG,
    TIER_REDIS_CHECKED_US,
    TIER_REDIS_FIELDS
};

extern const char *const tier_redis_field_names[TIER_REDIS_FIELDS];

void tier_redis_path_key(char dst[TIER_REDIS_KEY_SIZE], const struct image_key *key);

/* 0 when there is none: a part is missing, too long, or it would be a path's key. */
int tier_redis_entity_key(char dst[TIER_REDIS_KEY_SIZE], const char *content_type, const char *object_id,
                          const char *variant);

/* The values of an image's fields as they are put; NULL: the field is left out. */
struct tier_redis_hash {
    const char *values[TIER_REDIS_FIELDS];
    size_t lengths[TIER_REDIS_FIELDS];
    char numbers[TIER_REDIS_FIELDS][32];
    char sha256[DIGEST_HEX_SIZE];
    char *compressed;
};

enum tier_redis_encoding { TIER_REDIS_PLAIN, TIER_REDIS_ZSTD };

/* Borrows from the image. TIER_REDIS_ZSTD: compressed if it is of a kind, and of a content, that gains by it. */
void tier_redis_hash_init(struct tier_redis_hash *h, const struct image *image, int64_t fetch_us,
                          enum tier_redis_encoding encoding);
void tier_redis_hash_release(struct tier_redis_hash *h);

/* The image of this key from the fields' values. -ENOENT: another image's, or above max_bytes; -EBADMSG: damaged. */
int tier_redis_hash_read(const struct tier_redis_hash *h, const struct image_key *key, int64_t max_bytes,
                         struct image **ret) __attribute__((warn_unused_result));

/* The same fields from an answer to HMGET, borrowed. -EBADMSG: it is none. */
int tier_redis_hash_reply(struct tier_redis_hash *h, const void *reply) __attribute__((warn_unused_result));

/* A field's value as a number, 0 for none. */
int64_t tier_redis_hash_number(const struct tier_redis_hash *h, enum tier_redis_field field);

/* Whether to read an image anew that expires in left_ms and took fetch_us to read: more likely the nearer its end, so
 * that one of many readers does and the others still have it. XFetch with beta 1: Vattani, Chierichetti, Lowenstein,
 * "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015. `chance` is in (0, 1]. */
int tier_redis_is_due(int64_t left_ms, int64_t fetch_us, double chance);

#endif
