/* Whether a pattern of names (store_forget_matching) means an image. */
#ifndef STORE_PATTERN_H
#define STORE_PATTERN_H

#include "image/image.h"

/* A stored image. Which entity it belongs to is not known here, so that patterns of entities mean all. The second takes
 * an image_key_name. */
int pattern_means(const struct image_key *key, const char *pattern);
int pattern_means_name(const char *name, const char *pattern);

/* A copy of an origin's image, which has no name but that of its path. */
int pattern_means_copy(const struct image_key *key, const char *pattern);

#endif
