#include "store/own_writes.h"

#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "store/entity_cache.h"
#include "store/ttl_map.h"

#define FOR_MS 30000
#define MAX    4096

struct write {
    unsigned char sha256[DIGEST_SHA256_LEN];
    unsigned entity; /* hash_of */
    enum own_write kind;
};

struct own_writes {
    struct lock lock;
    struct ttl_map writes; /* by image_key_name */
};

struct own_writes *own_writes_new(void)
{
    struct own_writes *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    lock_init(&o->lock, LOCK_own_writes);
    o->writes = (struct ttl_map){.max = MAX, .for_ms = FOR_MS};
    return o;
}

void own_writes_free(struct own_writes *o)
{
    if (!o)
        return;
    ttl_map_clear(&o->writes);
    lock_destroy(&o->lock);
    free(o);
}

/* 0: it belongs to no entity, or to one that is never remembered. */
static unsigned hash_of(const struct image_meta *row)
{
    if (!row->content_type || !row->object_id || !row->variant)
        return 0;
    return entity_hash(&(struct entity){row->content_type, row->object_id, row->variant});
}

void own_writes_add(struct own_writes *o, const struct image_meta *row, enum own_write kind)
{
    struct write value = {.kind = kind, .entity = hash_of(row)};
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&row->key, name);
    memcpy(value.sha256, row->sha256, sizeof value.sha256);
    lock_take(&o->lock);
    ttl_map_put(&o->writes, name, len, &value, sizeof value);
    lock_give(&o->lock);
}

static int find(struct own_writes *o, const struct image_meta *row, struct write *ret)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&row->key, name);
    lock_take(&o->lock);
    int found = ttl_map_get(&o->writes, name, len, ret, sizeof *ret);
    lock_give(&o->lock);
    return found && !row->deleted_us && memcmp(ret->sha256, row->sha256, sizeof ret->sha256) == 0;
}

enum own_write own_writes_find(struct own_writes *o, const struct image_meta *row)
{
    struct write value;
    return find(o, row, &value) ? value.kind : OWN_WRITE_NONE;
}

int own_writes_has_row(struct own_writes *o, const struct image_meta *row)
{
    struct write value;
    return find(o, row, &value) && value.entity == hash_of(row);
}

void own_writes_drop(struct own_writes *o, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    lock_take(&o->lock);
    (void)ttl_map_drop(&o->writes, name, len);
    lock_give(&o->lock);
}
