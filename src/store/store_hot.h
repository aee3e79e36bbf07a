/* What store_fetch leaves at hand for store_hot. */
#ifndef STORE_STORE_HOT_H
#define STORE_STORE_HOT_H

#include "fs/filestate.h"
#include "store/store.h"

/* Keeps an image that was opened in this state: its bytes, or, of a large one, the open file. Returns what is kept, for
 * `file`, whose reference it takes: whoever sends a copy is not cut short when the file is written meanwhile. */
struct image *store_hot_keep(struct store *store, struct image *file, const struct filestate *state);

/* An image that is at hand and whose file is gone: a reference, or NULL. */
struct image *store_hot_left(struct store *store, const struct image_key *key);

#endif
