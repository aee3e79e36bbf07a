/* Reading images of collections that have an origin (PERDURA_ORIGINS), without waiting.
 *
 * A copy is served for PERDURA_ORIGIN_TTL; then its origin is asked whether it is still right, and while that can't
 * tell, the copy is served all the same. The database knows nothing of these images. */
#ifndef STORE_STORE_PROXY_H
#define STORE_STORE_PROXY_H

#include "store/store.h"

/* Whether the collection is one of those. */
int store_proxies(const struct store *store, const char *collection);

/* Between start and stop. What waits for an origin when stop is called is given up. -ETIMEDOUT, and it may be called
 * again, as store_fetch_stop. */
int store_proxy_start(struct store *store, struct error *e) __attribute__((warn_unused_result));
int store_proxy_stop(struct store *store, int64_t deadline_ms) __attribute__((warn_unused_result));

/* Gives up what origins are asked for, so that those who wait for it are told soon. Until the next start. */
void store_proxy_give_up(struct store *store);

/* As store_fetch. `found->status` tells how: "HIT", "MISS", "EXPIRED" (it was too old, and its origin had another one),
 * "REVALIDATED" (it was too old, and its origin has the same), "STALE" (it is too old, and its origin can't tell). Why
 * not:
 *   -ENOENT      its origin has none
 *   -ENODEV      a setting is missing: see the line
 *   store_proxy_is_passing     its origin does not answer, or too much is to be done: later, perhaps
 *   -EINVAL, -EFBIG, others    what its origin has can't be served: it is no image, too large, or refused */
int store_proxy(struct store *store, const struct image_key *key, store_landed_fn *landed, void *arg)
    __attribute__((warn_unused_result));

int store_proxy_is_passing(int code);

/* For store/ itself. */

struct store_proxy *store_proxy_new(struct store *store);
void store_proxy_free(struct store_proxy *p); /* stopped; NULL is allowed */

/* Copies count as too old from now on, those included that are on their way. How many there are. */
int store_proxy_forget(struct store *store, const struct image_key *key);
int store_proxy_forget_matching(struct store *store, const char *pattern);

/* For store_hot: whether the copy in a file of this state, checked then, may be served unasked. */
int store_proxy_is_fresh(const struct store *store, const struct image_key *key, int64_t checked_us);

#endif
