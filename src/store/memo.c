#include "store/memo.h"

#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/lock.h"
#include "store/ttl_map.h"

#define ABSENT_MS  5000
#define ENTITY_MS  60000
#define OWN_MS     30000
#define RECENT_MAX 4096 /* of each */

#define ENTITY_NAME_SIZE 1024
#define BY_PATH          "image:path:"

struct filling {
    struct memo *memo;
    struct image *image;
    int forgotten; /* it is another image now: not among the others any more */
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

/* What is remembered of an entity, and of what was committed here. */
struct entity_entry {
    uint64_t version;
    char image[IMAGE_NAME_SIZE]; /* shorter in the table */
};

struct own {
    unsigned char sha256[DIGEST_SHA256_LEN];
    unsigned entity; /* entity_hash */
    enum memo_own own;
};

struct memo {
    struct lock lock;
    uint64_t version; /* how often something was forgotten */
    struct filling *fillings;
    struct ttl_map absent, owns; /* by image_key_name; absent ones without a value */
    struct ttl_map entities;     /* by entity_name */
};

struct memo *memo_new(void)
{
    struct memo *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    lock_init(&m->lock, LOCK_memo);
    m->absent = (struct ttl_map){.max = RECENT_MAX, .for_ms = ABSENT_MS};
    m->entities = (struct ttl_map){.max = RECENT_MAX, .for_ms = ENTITY_MS};
    m->owns = (struct ttl_map){.max = RECENT_MAX, .for_ms = OWN_MS};
    return m;
}

void memo_free(struct memo *m)
{
    if (!m)
        return;
    ttl_map_clear(&m->absent);
    ttl_map_clear(&m->entities);
    ttl_map_clear(&m->owns);
    lock_destroy(&m->lock);
    free(m);
}

uint64_t memo_version(struct memo *m)
{
    lock_take(&m->lock);
    uint64_t version = m->version;
    lock_give(&m->lock);
    return version;
}

/* Its file is being written all the same. The lock is held. */
static void drop_filling(struct memo *m, struct filling *one)
{
    HASH_DEL(m->fillings, one);
    one->forgotten = 1;
}

void memo_add_useless(struct memo *m, const struct image_key *key, int code, uint64_t version)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    lock_take(&m->lock);
    if (m->version == version)
        ttl_map_put(&m->absent, name, len, &code, sizeof code);
    lock_give(&m->lock);
}

void memo_add_absent(struct memo *m, const struct image_key *key, uint64_t version)
{
    memo_add_useless(m, key, -ENOENT, version);
}

int memo_is_useless(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    lock_take(&m->lock);
    int code = 0;
    (void)ttl_map_get(&m->absent, name, len, &code, sizeof code);
    lock_give(&m->lock);
    return code;
}

int memo_is_absent(struct memo *m, const struct image_key *key)
{
    return memo_is_useless(m, key) == -ENOENT;
}

struct filling *memo_add_filling(struct memo *m, struct image *image, uint64_t version)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&image->meta.key, name);
    struct filling *one = calloc(1, sizeof *one + len), *there;
    if (!one)
        return NULL;
    one->memo = m;
    one->image = image_ref(image);
    one->name_len = len;
    memcpy(one->name, name, len);
    lock_take(&m->lock);
    one->forgotten = m->version != version;
    if (!one->forgotten) {
        HASH_REPLACE(hh, m->fillings, name[0], one->name_len, one, there);
        if (there)
            there->forgotten = 1;
    }
    lock_give(&m->lock);
    return one;
}

void memo_filled(struct filling *filling)
{
    lock_take(&filling->memo->lock);
    if (!filling->forgotten)
        HASH_DEL(filling->memo->fillings, filling);
    lock_give(&filling->memo->lock);
    image_unref(filling->image);
    free(filling);
}

struct image *memo_find_filling(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct filling *one;
    lock_take(&m->lock);
    HASH_FIND(hh, m->fillings, name, len, one);
    struct image *image = one ? image_ref(one->image) : NULL;
    lock_give(&m->lock);
    return image;
}

/* Type NUL object NUL variant NUL. 0: it is too long to be remembered. */
static unsigned entity_name(const struct memo_entity *entity, char ret[ENTITY_NAME_SIZE])
{
    const char *parts[] = {entity->content_type, entity->object_id, entity->variant};
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(parts[i]) + 1;
        if (n + len > ENTITY_NAME_SIZE)
            return 0;
        memcpy(ret + n, parts[i], len);
        n += len;
    }
    return (unsigned)n;
}

void memo_add_entity(struct memo *m, const struct memo_entity *entity, const struct image_key *key, uint64_t version)
{
    struct entity_entry value;
    char name[ENTITY_NAME_SIZE];
    unsigned len = entity_name(entity, name), image_len = image_key_name(key, value.image);
    if (!len)
        return;
    value.version = version;
    lock_take(&m->lock);
    ttl_map_put(&m->entities, name, len, &value, (unsigned)offsetof(struct entity_entry, image) + image_len);
    lock_give(&m->lock);
}

int memo_find_entity(struct memo *m, const struct memo_entity *entity, char ret_name[IMAGE_NAME_SIZE])
{
    struct entity_entry value;
    char name[ENTITY_NAME_SIZE];
    unsigned len = entity_name(entity, name);
    lock_take(&m->lock);
    int found = ttl_map_get(&m->entities, name, len, &value, sizeof value) && value.version == m->version;
    lock_give(&m->lock);
    if (!found)
        return -ENOENT;
    const struct image_key key = image_key_named(value.image);
    (void)image_key_name(&key, ret_name);
    return 0;
}

/* 0: it belongs to none, or to one that is never remembered. */
static unsigned entity_hash(const struct image_meta *row)
{
    char name[ENTITY_NAME_SIZE];
    unsigned hash = 0, len = 0;
    if (row->content_type && row->object_id && row->variant)
        len = entity_name(&(struct memo_entity){row->content_type, row->object_id, row->variant}, name);
    if (len)
        HASH_VALUE(name, len, hash);
    return hash;
}

void memo_add_own(struct memo *m, const struct image_meta *row, enum memo_own own)
{
    struct own value = {.own = own, .entity = entity_hash(row)};
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&row->key, name);
    memcpy(value.sha256, row->sha256, sizeof value.sha256);
    lock_take(&m->lock);
    ttl_map_put(&m->owns, name, len, &value, sizeof value);
    lock_give(&m->lock);
}

static int find_own(struct memo *m, const struct image_meta *row, struct own *ret)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&row->key, name);
    lock_take(&m->lock);
    int found = ttl_map_get(&m->owns, name, len, ret, sizeof *ret);
    lock_give(&m->lock);
    return found && !row->deleted_us && memcmp(ret->sha256, row->sha256, sizeof ret->sha256) == 0;
}

enum memo_own memo_is_own(struct memo *m, const struct image_meta *row)
{
    struct own value;
    return find_own(m, row, &value) ? value.own : MEMO_NOT_OWN;
}

int memo_is_own_row(struct memo *m, const struct image_meta *row)
{
    struct own value;
    return find_own(m, row, &value) && value.entity == entity_hash(row);
}

void memo_drop_own(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    lock_take(&m->lock);
    (void)ttl_map_drop(&m->owns, name, len);
    lock_give(&m->lock);
}

int memo_forget(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct filling *filling;
    lock_take(&m->lock);
    m->version++;
    int n = ttl_map_drop(&m->absent, name, len);
    HASH_FIND(hh, m->fillings, name, len, filling);
    if (filling)
        drop_filling(m, filling);
    lock_give(&m->lock);
    return n + (filling != NULL);
}

int memo_is_copy_meant(const struct image_key *key, const char *pattern)
{
    char name[sizeof BY_PATH + IMAGE_NAME_SIZE];
    (void)snprintf(name, sizeof name, BY_PATH "%s:%s", key->collection, key->path);
    return fnmatch(pattern, name, 0) == 0;
}

int memo_is_meant(const struct image_key *key, const char *pattern)
{
    return strncmp(pattern, BY_PATH, strlen(BY_PATH)) != 0 || memo_is_copy_meant(key, pattern);
}

static int is_meant(const char *name, const char *pattern)
{
    struct image_key key = image_key_named(name);
    return memo_is_meant(&key, pattern);
}

int memo_forget_matching(struct memo *m, const char *pattern)
{
    struct filling *one, *next;
    lock_take(&m->lock);
    m->version++;
    int n = ttl_map_drop_meant(&m->absent, is_meant, pattern);
    HASH_ITER (hh, m->fillings, one, next) {
        if (is_meant(one->name, pattern)) {
            drop_filling(m, one);
            n++;
        }
    }
    lock_give(&m->lock);
    return n;
}
