/* The negative cache: images that no tier has, or that an origin has nothing useful for, for 5 s.
 *
 * An answer that was looked up before a change must not be remembered after it. So a caller reads the store's number of
 * changes (`forgets` in struct store) before it looks something up, and passes it along: an answer with an older number
 * is not kept. The same holds for store/inflight.h and store/entity_cache.h. */
#ifndef STORE_NEGCACHE_H
#define STORE_NEGCACHE_H

#include <stdatomic.h>

#include "image/image.h"

struct negcache;

struct negcache *negcache_new(const atomic_ullong *forgets); /* NULL when out of memory; borrows the number */
void negcache_free(struct negcache *c);                      /* NULL is allowed */

/* `code`: why there is no use in asking for it again; -ENOENT: nothing has it. */
void negcache_add(struct negcache *c, const struct image_key *key, int code, uint64_t forgets);

/* That code. 0: nothing is known. */
int negcache_find(struct negcache *c, const struct image_key *key);

/* By key, or by pattern (store_forget_matching), after the number was raised. Returns how many were known. */
int negcache_forget(struct negcache *c, const struct image_key *key);
int negcache_forget_matching(struct negcache *c, const char *pattern);

#endif
