/* What was learned lately, by name: at most so many, each for so long. Where one more would be too many, the one that
 * was learned first goes. Names and values are bytes, which are copied. The caller's lock is over it. */
#ifndef STORE_TTL_MAP_H
#define STORE_TTL_MAP_H

struct ttl_map_one;

struct ttl_map {
    unsigned max;
    int for_ms;
    struct ttl_map_one *list; /* in the order of arrival */
};

/* Takes the place of what is there under that name. Out of memory, nothing is remembered. */
void ttl_map_put(struct ttl_map *r, const void *name, unsigned name_len, const void *value, unsigned value_len);

/* Copies the value, of at most `size` bytes. Returns whether there is one. */
int ttl_map_get(struct ttl_map *r, const void *name, unsigned name_len, void *ret_value, unsigned size);

/* Returns whether it was there. */
int ttl_map_drop(struct ttl_map *r, const void *name, unsigned name_len);

/* Drops those whose name `is_meant`. Returns how many. */
int ttl_map_drop_meant(struct ttl_map *r, int (*is_meant)(const char *name, const char *pattern), const char *pattern);

/* All of it. */
void ttl_map_clear(struct ttl_map *r);

#endif
