#include "store/ttl_map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"

struct ttl_map_one {
    int64_t until_ms;
    UT_hash_handle hh;
    unsigned name_len, value_len;
    char bytes[]; /* the name, and behind it the value */
};

static void drop(struct ttl_map *r, struct ttl_map_one *one)
{
    HASH_DEL(r->list, one); /* NOLINT(clang-analyzer-unix.Malloc): in a loop it takes the table's head for freed */
    free(one);
}

static struct ttl_map_one *find(struct ttl_map *r, const void *name, unsigned name_len)
{
    struct ttl_map_one *one;
    HASH_FIND(hh, r->list, name, name_len, one);
    return one;
}

void ttl_map_put(struct ttl_map *r, const void *name, unsigned name_len, const void *value, unsigned value_len)
{
    struct ttl_map_one *one = malloc(sizeof *one + name_len + value_len), *there;
    if (!one)
        return;
    one->until_ms = clock_monotonic_ms() + r->for_ms;
    one->name_len = name_len;
    one->value_len = value_len;
    memcpy(one->bytes, name, name_len);
    if (value_len)
        memcpy(one->bytes + name_len, value, value_len);
    HASH_REPLACE(hh, r->list, bytes[0], one->name_len, one, there);
    free(there);
    if (HASH_COUNT(r->list) > r->max)
        drop(r, r->list);
}

int ttl_map_get(struct ttl_map *r, const void *name, unsigned name_len, void *ret_value, unsigned size)
{
    struct ttl_map_one *one = find(r, name, name_len);
    if (one && one->until_ms < clock_monotonic_ms()) {
        drop(r, one);
        one = NULL;
    }
    if (one && size)
        memcpy(ret_value, one->bytes + one->name_len, one->value_len < size ? one->value_len : size);
    return one != NULL;
}

int ttl_map_drop(struct ttl_map *r, const void *name, unsigned name_len)
{
    struct ttl_map_one *one = find(r, name, name_len);
    if (one)
        drop(r, one);
    return one != NULL;
}

int ttl_map_drop_meant(struct ttl_map *r, int (*is_meant)(const char *name, const char *pattern), const char *pattern)
{
    struct ttl_map_one *one, *next;
    int n = 0;
    HASH_ITER (hh, r->list, one, next) {
        if (is_meant(one->bytes, pattern)) {
            drop(r, one);
            n++;
        }
    }
    return n;
}

void ttl_map_clear(struct ttl_map *r)
{
    struct ttl_map_one *one = r->list, *next;
    HASH_CLEAR(hh, r->list);
    for (; one; one = next) {
        next = one->hh.next;
        free(one);
    }
}
