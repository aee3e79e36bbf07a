/* Puts images into Redis behind the answers that they were read for: one thread. */
#ifndef STORE_REDIS_FILL_H
#define STORE_REDIS_FILL_H

#include "store/store_tiers.h"

struct redis_fill;

int redis_fill_start(struct redis_fill **ret, struct store *store) __attribute__((warn_unused_result));
/* What waits is given up. NULL is allowed. */
void redis_fill_stop(struct redis_fill *f);

/* What is true before an image's source is read: what changes after that is not to be put. */
struct redis_fill_since {
    uint64_t mark, sweeps;
    int64_t us; /* the time */
};

struct redis_fill_since redis_fill_now(struct store *store);

/* Puts this image, which was read since then. Where too much waits it is not put. */
void redis_fill_put(struct redis_fill *f, struct image *image, const struct redis_fill_since *since);

/* Reads this image from the database and puts it. */
void redis_fill_refresh(struct redis_fill *f, struct image *image);

/* Puts the image of this row, which was read since then, if its file is on disk and holds that very content. */
void redis_fill_share(struct redis_fill *f, const struct image_meta *row, const struct redis_fill_since *since);

#endif
