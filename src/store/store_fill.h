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

/* A copy of this image, read after tier_disk_epoch() was `mark`, goes to the disk, and `done` is told. Where too much
 * waits, -EAGAIN at once, or, with FILL_SURELY, when there is room again. */
enum fill_how { FILL_SURELY, FILL_IF_ROOM };

int fill_later(struct fill *f, struct image *image, uint64_t mark, enum fill_how how, fill_done_fn *done, void *arg);

#endif
