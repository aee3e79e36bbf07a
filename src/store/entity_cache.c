#include "store/entity_cache.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/lock.h"
#include "store/ttl_map.h"

#define FOR_MS           60000
#define MAX              4096
#define ENTITY_NAME_SIZE 1024

struct entry {
    uint64_t forgets;
    char image[IMAGE_NAME_SIZE]; /* shorter in the table */
};

struct entity_cache {
    struct lock lock;
    const atomic_ullong *forgets;
    struct ttl_map entries; /* by entity_name */
};

struct entity_cache *entity_cache_new(const atomic_ullong *forgets)
{
    struct entity_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    lock_init(&c->lock, LOCK_entity_cache);
    c->forgets = forgets;
    c->entries = (struct ttl_map){.max = MAX, .for_ms = FOR_MS};
    return c;
}

void entity_cache_free(struct entity_cache *c)
{
    if (!c)
        return;
    ttl_map_clear(&c->entries);
    lock_destroy(&c->lock);
    free(c);
}

/* Type NUL object NUL variant NUL. 0: it is too long. */
static unsigned entity_name(const struct entity *entity, char ret[ENTITY_NAME_SIZE])
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

unsigned entity_hash(const struct entity *entity)
{
    char name[ENTITY_NAME_SIZE];
    unsigned hash = 0, len = entity_name(entity, name);
    if (len)
        HASH_VALUE(name, len, hash);
    return hash;
}

void entity_cache_add(struct entity_cache *c, const struct entity *entity, const struct image_key *key,
                      uint64_t forgets)
{
    struct entry value;
    char name[ENTITY_NAME_SIZE];
    unsigned len = entity_name(entity, name), image_len = image_key_name(key, value.image);
    if (!len)
        return;
    value.forgets = forgets;
    lock_take(&c->lock);
    ttl_map_put(&c->entries, name, len, &value, (unsigned)offsetof(struct entry, image) + image_len);
    lock_give(&c->lock);
}

int entity_cache_find(struct entity_cache *c, const struct entity *entity, char ret_name[IMAGE_NAME_SIZE])
{
    struct entry value;
    char name[ENTITY_NAME_SIZE];
    unsigned len = entity_name(entity, name);
    lock_take(&c->lock);
    int found = ttl_map_get(&c->entries, name, len, &value, sizeof value) && value.forgets == *c->forgets;
    lock_give(&c->lock);
    if (!found)
        return -ENOENT;
    const struct image_key key = image_key_named(value.image);
    (void)image_key_name(&key, ret_name);
    return 0;
}
