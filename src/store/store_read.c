#include <string.h>

#include "fs/safepath.h"
#include "store/store_tiers.h"

/* Gives the tiers above the one that answered a copy, once it has proved to be what its row says. A tier that can't
 * take it is no reason to withhold the image. */
static int fill(struct store *store, int above, const struct image *image, struct error *e)
{
    int r = above ? image_verify(&image->meta, image->bytes, (size_t)image->meta.size, e) : 0;
    for (int i = 0; i < above && r == 0; i++)
        (void)!store->tiers[i].ops->write(store->tiers[i].self, image, TIER_FILL, NULL);
    return r;
}

int store_read(struct store *store, const struct image_key *key, struct image **ret, const char **ret_tier,
               struct error *e)
{
    struct image *image;
    struct error why;
    int r = safepath_check(key->path, strlen(key->path), e);
    if (r < 0)
        return r;

    for (int i = 0; i < STORE_TIERS; i++) {
        r = store->tiers[i].ops->read(store->tiers[i].self, key, &image, &why);
        if (r < 0)
            continue;
        r = fill(store, i, image, &why);
        if (r < 0) {
            image_unref(image);
            continue;
        }
        if (ret_tier)
            *ret_tier = store->tiers[i].ops->name;
        *ret = image;
        return 0;
    }
    if (e)
        *e = why; /* the last tier is the durable one: its word counts */
    return r;
}
