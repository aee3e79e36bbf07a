/* A place where an image's bytes can be. The five kinds share this table of functions; only store/ knows their order.
 *
 * "Absent" and "unavailable" are different answers: -ENOENT says that the tier was asked and has no such image; every
 * other failure says that it could not tell. */
#ifndef TIER_TIER_H
#define TIER_TIER_H

#include "base/error.h"
#include "image/image.h"

enum tier_intent {
    TIER_FILL, /* a copy of what a lower tier holds: whatever is here already stays */
    TIER_STORE /* new content: it replaces what is here */
};

struct tier_ops {
    const char *name; /* "disk", "db" */

    /* Sets *ret to the image, one reference, the caller's. -ENOENT: not here. -EBADMSG: here, but damaged. */
    int (*read)(void *tier, const struct image_key *key, struct image **ret, struct error *e);

    /* Keeps this content under the image's key. For a durable tier 0 means committed. */
    int (*write)(void *tier, const struct image *image, enum tier_intent intent, struct error *e);

    /* Lets go of what is kept under the key; for a durable tier: into the trash. -ENOENT: nothing was there. NULL for
     * the disk, to which others write (tier_disk_remove). */
    int (*drop)(void *tier, const struct image_key *key, struct error *e);
};

struct tier {
    const struct tier_ops *ops;
    void *self;
};

#endif
