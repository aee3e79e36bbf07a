/* The order in which the places of an image are asked, which is defined nowhere else:
 *
 *     of a stored image       memory, disk, Redis, database (or the object that its row names)
 *     of a copy of an origin  memory, disk, Redis, origin
 *
 * The first place that has the image answers, and those above it are filled. Redis is passed over while it is not
 * configured or down. */
#ifndef STORE_ORDER_H
#define STORE_ORDER_H

struct store;

enum place { PLACE_MEMORY, PLACE_DISK, PLACE_REDIS, PLACE_DB, PLACE_ORIGIN, PLACE_NONE };

/* Where an image of this collection is looked for after `place`; PLACE_NONE: nowhere. */
enum place order_after(const struct store *store, const char *collection, enum place place);

#endif
