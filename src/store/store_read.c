#include <string.h>

#include "fs/safepath.h"
#include "store/store_object.h"
#include "store/store_tiers.h"
#include "tier/tier_disk.h"

/* Gives the tiers above the one that answered a copy, once it has proved to be what its row says. A tier that can't
 * take it is no reason to withhold the image. */
static int fill(struct store *store, int above, const struct image *image, struct error *e)
{
    if (!image->bytes) /* a file; what came from object storage was compared, and is on disk */
        return 0;
    int r = above ? image_verify(&image->meta, image->bytes, (size_t)image->meta.size, e) : 0;
    for (int i = 0; i < above && r == 0; i++)
        (void)!store->tiers[i].ops->write(store->tiers[i].self, image, TIER_FILL, NULL);
    return r;
}

/* From one tier; bytes that its row only names are fetched. */
static int read_tier(struct store *store, const struct tier *tier, const struct image_key *key, uint64_t mark,
                     struct image **ret, struct error *e)
{
    struct image *image;
    int r = tier->ops->read(tier->self, key, &image, e);
    if (r < 0 || !image_is_linked(image)) {
        if (r == 0)
            *ret = image;
        return r;
    }
    r = store_fetch_linked(store, image, mark, NULL, NULL, ret, e);
    image_unref(image);
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

    uint64_t mark = tier_disk_epoch(store->disk);
    for (int i = 0; i < STORE_TIERS; i++) {
        r = read_tier(store, &store->tiers[i], key, mark, &image, &why);
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
