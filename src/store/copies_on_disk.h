/* The copies of images that come from PERDURA_ORIGINS: <PERDURA_CACHE_DIR>/<collection>/<md5 of the path>.<ending>.
 *
 * Nothing else in these folders is counted or removed, whatever PERDURA_CACHE_DIR may point to. */
#ifndef STORE_COPIES_ON_DISK_H
#define STORE_COPIES_ON_DISK_H

#include <stdint.h>

#include "base/error.h"
#include "store/store.h"

struct config;

/* How many copies a collection has, and their bytes. A folder that is not there has none. */
int copies_on_disk_count(const struct config *config, const char *collection, struct store_tally *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Removes copies that their origins have not confirmed for `days` (0: all; a file's modification time is when it was
 * fetched or confirmed), of all collections with an origin; `dry_run`: only
 * counts them. *ret is what went, even when some could not. */
int copies_on_disk_clean(const struct config *config, int days, int dry_run, struct store_tally *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
