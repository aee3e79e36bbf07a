#include "tier/tier_redis_hash.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/zstd.h"
#include "tier/copy_meta.h"

const char *const tier_redis_field_names[TIER_REDIS_FIELDS] = {
    [TIER_REDIS_SEE] = "see",
    [TIER_REDIS_DATA] = "data",
    [TIER_REDIS_ENCODING] = "encoding",
    [TIER_REDIS_CONTENT_TYPE] = "content_type",
    [TIER_REDIS_SHA256] = "sha256",
    [TIER_REDIS_SIZE] = "size",
    [TIER_REDIS_UPDATED_AT] = "updated_at",
    [TIER_REDIS_COLLECTION] = "collection",
    [TIER_REDIS_PATH] = "path",
    [TIER_REDIS_MTIME] = "mtime",
    [TIER_REDIS_WIDTH] = "width",
    [TIER_REDIS_HEIGHT] = "height",
    [TIER_REDIS_ENTITY_TYPE] = "entity_type",
    [TIER_REDIS_OBJECT_ID] = "object_id",
    [TIER_REDIS_VARIANT] = "variant",
    [TIER_REDIS_FETCH_US] = "fetch_us",
    [TIER_REDIS_ETAG] = "etag",
    [TIER_REDIS_CHECKED_US] = "checked_us",
};

void tier_redis_path_key(char dst[TIER_REDIS_KEY_SIZE], const struct image_key *key)
{
    (void)snprintf(dst, TIER_REDIS_KEY_SIZE, "image:path:%s:%s", key->collection, key->path);
}

int tier_redis_entity_key(char dst[TIER_REDIS_KEY_SIZE], const char *content_type, const char *object_id,
                          const char *variant)
{
    if (!content_type || !object_id || !variant || !*content_type || !*object_id || !*variant)
        return 0;
    if (strcmp(content_type, "path") == 0)
        return 0;
    int n = snprintf(dst, TIER_REDIS_KEY_SIZE, "image:%s:%s:%s", content_type, object_id, variant);
    return n > 0 && n < TIER_REDIS_KEY_SIZE;
}

static void set(struct tier_redis_hash *h, enum tier_redis_field field, const char *value)
{
    h->values[field] = value;
    h->lengths[field] = value ? strlen(value) : 0;
}

static void set_number(struct tier_redis_hash *h, enum tier_redis_field field, int64_t value)
{
    (void)snprintf(h->numbers[field], sizeof h->numbers[field], "%" PRId64, value);
    set(h, field, h->numbers[field]);
}

static int gains_by_zstd(const char *mime)
{
    return strcmp(mime, "image/svg+xml") == 0 || strcmp(mime, "image/bmp") == 0 || strcmp(mime, "image/tiff") == 0;
}

static void set_data(struct tier_redis_hash *h, const struct image *image, enum tier_redis_encoding encoding)
{
    size_t size = (size_t)image->meta.size, len;
    h->values[TIER_REDIS_DATA] = (const char *)image->bytes;
    h->lengths[TIER_REDIS_DATA] = size;
    if (encoding != TIER_REDIS_ZSTD || !gains_by_zstd(image->meta.mime))
        return;
    h->compressed = malloc(size);
    if (!h->compressed || zstd_compress(h->compressed, size, &len, image->bytes, size) < 0)
        return;
    h->values[TIER_REDIS_DATA] = h->compressed;
    h->lengths[TIER_REDIS_DATA] = len;
    set(h, TIER_REDIS_ENCODING, "zstd");
}

void tier_redis_hash_init(struct tier_redis_hash *h, const struct image *image, int64_t fetch_us,
                          enum tier_redis_encoding encoding)
{
    const struct image_meta *meta = &image->meta;
    *h = (struct tier_redis_hash){0};
    set_data(h, image, encoding);
    digest_hex(h->sha256, meta->sha256);
    set(h, TIER_REDIS_SHA256, h->sha256);
    set(h, TIER_REDIS_CONTENT_TYPE, meta->mime);
    set_number(h, TIER_REDIS_SIZE, meta->size);
    if (meta->updated_us)
        set(h, TIER_REDIS_UPDATED_AT, clock_iso(h->numbers[TIER_REDIS_UPDATED_AT], meta->updated_us));
    set(h, TIER_REDIS_COLLECTION, meta->key.collection);
    set(h, TIER_REDIS_PATH, meta->key.path);
    set_number(h, TIER_REDIS_MTIME, meta->mtime_ns);
    set_number(h, TIER_REDIS_WIDTH, meta->width);
    set_number(h, TIER_REDIS_HEIGHT, meta->height);
    set(h, TIER_REDIS_ENTITY_TYPE, meta->content_type);
    set(h, TIER_REDIS_OBJECT_ID, meta->object_id);
    set(h, TIER_REDIS_VARIANT, meta->variant);
    set_number(h, TIER_REDIS_FETCH_US, fetch_us);
    set(h, TIER_REDIS_ETAG, meta->etag);
    if (meta->checked_us)
        set_number(h, TIER_REDIS_CHECKED_US, meta->checked_us);
}

void tier_redis_hash_release(struct tier_redis_hash *h)
{
    free(h->compressed);
    h->compressed = NULL;
}

int tier_redis_hash_reply(struct tier_redis_hash *h, const void *reply)
{
    *h = (struct tier_redis_hash){0};
    if (redis_client_length(reply) != TIER_REDIS_FIELDS)
        return -EBADMSG;
    for (int i = 0; i < TIER_REDIS_FIELDS; i++)
        h->values[i] = redis_client_text(redis_client_at(reply, (size_t)i), &h->lengths[i]);
    return 0;
}

int64_t tier_redis_hash_number(const struct tier_redis_hash *h, enum tier_redis_field field)
{
    return h->values[field] ? strtoll(h->values[field], NULL, 10) : 0;
}

static int is_text(const struct tier_redis_hash *h, enum tier_redis_field field, const char *text)
{
    return h->values[field] && strcmp(h->values[field], text) == 0;
}

/* It goes into the head of a request to the origin. */
static const char *read_etag(const struct tier_redis_hash *h)
{
    const char *etag = h->values[TIER_REDIS_ETAG];
    size_t n = h->lengths[TIER_REDIS_ETAG];
    for (size_t i = 0; etag && i < n; i++)
        if ((unsigned char)etag[i] < ' ' || etag[i] == 0x7f)
            return NULL;
    return etag && n < COPY_ETAG_SIZE ? etag : NULL;
}

static int copy_data(const struct tier_redis_hash *h, struct image *image)
{
    const char *data = h->values[TIER_REDIS_DATA];
    size_t len = h->lengths[TIER_REDIS_DATA], size = (size_t)image->meta.size;
    if (h->values[TIER_REDIS_ENCODING]) {
        if (!is_text(h, TIER_REDIS_ENCODING, "zstd") || zstd_decompress(image->bytes, size, &len, data, len) < 0)
            return -EBADMSG;
        return len == size ? 0 : -EBADMSG;
    }
    if (len != size)
        return -EBADMSG;
    memcpy(image->bytes, data, len);
    return 0;
}

/* The bytes tell their kind once more: what is in Redis is not to choose how browsers take it. */
static int check(const struct tier_redis_hash *h, struct image *image, const unsigned char *sha256)
{
    struct image_meta seen = image->meta;
    int r = copy_data(h, image);
    if (r == 0)
        r = image_describe(&seen, image->bytes, (size_t)image->meta.size, NULL);
    if (r == 0 && memcmp(seen.sha256, sha256, sizeof seen.sha256) == 0 && strcmp(seen.mime, image->meta.mime) == 0)
        return 0;
    return -EBADMSG;
}

int tier_redis_hash_read(const struct tier_redis_hash *h, const struct image_key *key, int64_t max_bytes,
                         struct image **ret)
{
    struct image_meta meta = {
        .key = *key,
        .content_type = h->values[TIER_REDIS_ENTITY_TYPE],
        .object_id = h->values[TIER_REDIS_OBJECT_ID],
        .variant = h->values[TIER_REDIS_VARIANT],
        .mime = h->values[TIER_REDIS_CONTENT_TYPE],
        .size = tier_redis_hash_number(h, TIER_REDIS_SIZE),
        .width = (int)tier_redis_hash_number(h, TIER_REDIS_WIDTH),
        .height = (int)tier_redis_hash_number(h, TIER_REDIS_HEIGHT),
        .mtime_ns = tier_redis_hash_number(h, TIER_REDIS_MTIME),
        .etag = read_etag(h),
        .checked_us = tier_redis_hash_number(h, TIER_REDIS_CHECKED_US),
    };
    if (!h->values[TIER_REDIS_DATA] || !meta.mime || !h->values[TIER_REDIS_SHA256] || meta.size <= 0 ||
        digest_from_hex(meta.sha256, h->values[TIER_REDIS_SHA256], h->lengths[TIER_REDIS_SHA256]) < 0)
        return -EBADMSG;
    if (!is_text(h, TIER_REDIS_COLLECTION, key->collection) || !is_text(h, TIER_REDIS_PATH, key->path) ||
        meta.size > max_bytes)
        return -ENOENT;
    struct image *image = image_new(&meta);
    if (!image)
        return -ENOMEM;
    int r = check(h, image, meta.sha256);
    if (r < 0)
        image_unref(image);
    else
        *ret = image;
    return r;
}

int tier_redis_is_due(int64_t left_ms, int64_t fetch_us, double chance)
{
    return (double)fetch_us / 1000 * -log(chance) >= (double)left_ms;
}
