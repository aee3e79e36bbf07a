/* Which image is the one of an entity, for 60 s, and only as long as nothing at all is forgotten (store/negcache.h):
 * any image that is written may be the entity's next one. */
#ifndef STORE_ENTITY_CACHE_H
#define STORE_ENTITY_CACHE_H

#include <stdatomic.h>

#include "image/image.h"

struct entity_cache;

struct entity {
    const char *content_type, *object_id, *variant;
};

struct entity_cache *entity_cache_new(const atomic_ullong *forgets); /* as negcache_new */
void entity_cache_free(struct entity_cache *c);                      /* NULL is allowed */

void entity_cache_add(struct entity_cache *c, const struct entity *entity, const struct image_key *key,
                      uint64_t forgets);

/* Copies the key's name (image_key_name). -ENOENT. */
int entity_cache_find(struct entity_cache *c, const struct entity *entity, char ret_name[IMAGE_NAME_SIZE]);

/* A number that stands for the names. 0: they are too long to be remembered. */
unsigned entity_hash(const struct entity *entity);

#endif
