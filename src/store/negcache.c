#include "store/negcache.h"

#include <stdlib.h>

#include "base/lock.h"
#include "store/pattern.h"
#include "store/ttl_map.h"

#define FOR_MS 5000
#define MAX    4096

struct negcache {
    struct lock lock;
    const atomic_ullong *forgets;
    struct ttl_map codes; /* by image_key_name */
};

struct negcache *negcache_new(const atomic_ullong *forgets)
{
    struct negcache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    lock_init(&c->lock, LOCK_negcache);
    c->forgets = forgets;
    c->codes = (struct ttl_map){.max = MAX, .for_ms = FOR_MS};
    return c;
}

void negcache_free(struct negcache *c)
{
    if (!c)
        return;
    ttl_map_clear(&c->codes);
    lock_destroy(&c->lock);
    free(c);
}

void negcache_add(struct negcache *c, const struct image_key *key, int code, uint64_t forgets)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    lock_take(&c->lock);
    if (*c->forgets == forgets)
        ttl_map_put(&c->codes, name, len, &code, sizeof code);
    lock_give(&c->lock);
}

int negcache_find(struct negcache *c, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    int code = 0;
    lock_take(&c->lock);
    (void)ttl_map_get(&c->codes, name, len, &code, sizeof code);
    lock_give(&c->lock);
    return code;
}

int negcache_forget(struct negcache *c, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    lock_take(&c->lock);
    int n = ttl_map_drop(&c->codes, name, len);
    lock_give(&c->lock);
    return n;
}

int negcache_forget_matching(struct negcache *c, const char *pattern)
{
    lock_take(&c->lock);
    int n = ttl_map_drop_meant(&c->codes, pattern_means_name, pattern);
    lock_give(&c->lock);
    return n;
}
