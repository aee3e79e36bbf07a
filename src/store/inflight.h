/* Images whose files are being written: a read that finds no file yet is given the image, and asks no source again. */
#ifndef STORE_INFLIGHT_H
#define STORE_INFLIGHT_H

#include <stdatomic.h>

#include "image/image.h"

struct inflight;
struct inflight_image;

struct inflight *inflight_new(const atomic_ullong *forgets); /* as negcache_new */
void inflight_free(struct inflight *f);                      /* no image is on its way; NULL is allowed */

/* Its file is being written until inflight_end. If something was forgotten since `forgets` was read, no read is given
 * the image. NULL when out of memory. */
struct inflight_image *inflight_begin(struct inflight *f, struct image *image, uint64_t forgets);
void inflight_end(struct inflight_image *one);

/* A reference to the image, or NULL. */
struct image *inflight_find(struct inflight *f, const struct image_key *key);

/* As negcache_forget; the files are written all the same. */
int inflight_forget(struct inflight *f, const struct image_key *key);
int inflight_forget_matching(struct inflight *f, const char *pattern);

#endif
