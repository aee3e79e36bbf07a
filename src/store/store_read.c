#include <errno.h>

#include "fs/safepath.h"
#include "store/store_tiers.h"

#include <string.h>

/* Tiers above the one that answered get a copy. One that can't take it is no reason to withhold the image. */
static void fill(struct store *store, int above, const struct image *image)
{
    for (int i = 0; i < above; i++) {
        int r = store->tiers[i].ops->write(store->tiers[i].self, image, TIER_FILL, NULL);
        (void)r;
    }
}

int store_read(struct store *store, const struct image_key *key, struct image **ret, const char **ret_tier,
               struct error *e)
{
    struct error why;
    int r = safepath_check(key->path, strlen(key->path), e);
    if (r < 0)
        return r;

    for (int i = 0; i < STORE_TIERS; i++) {
        r = store->tiers[i].ops->read(store->tiers[i].self, key, ret, &why);
        if (r < 0)
            continue;
        fill(store, i, *ret);
        if (ret_tier)
            *ret_tier = store->tiers[i].ops->name;
        return 0;
    }
    if (e)
        *e = why; /* the last tier is the durable one: its word counts */
    return r;
}
