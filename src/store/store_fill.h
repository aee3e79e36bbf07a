/* Puts files on disk behind the answers that they were read for: one thread, which takes all that wait at once, so that
 * they share a sync. */
#ifndef STORE_STORE_FILL_H
#define STORE_STORE_FILL_H

#include "image/image.h"

struct fill;
struct tier_disk;

/* Told when the file is there, or can't be: by the thread. */
typedef void fill_done_fn(void *arg);

int fill_start(struct fill **ret, struct tier_disk *disk) __attribute__((warn_unused_result));
/* What waits is written first. NULL is allowed. */
void fill_stop(struct fill *f);

/* A copy of this image goes to the disk. Where nobody is told, and too much waits, it is left for the next time that it
 * is asked for; who is told waits until there is room. */
void fill_later(struct fill *f, struct image *image, fill_done_fn *done, void *arg);

#endif
