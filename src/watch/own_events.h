/* Files that were just put on disk with what is stored: when the watcher hears of one, its event is no news. Each
 * stands for one event: what is heard of the file later is compared with its row. Remembers the last ones only;
 * forgetting one costs a question to the database and nothing else. All calls lock. */
#ifndef WATCH_OWN_EVENTS_H
#define WATCH_OWN_EVENTS_H

#include <stdint.h>

#include "image/image.h"

struct own_events;

struct own_events *own_events_new(size_t max); /* NULL when out of memory */
void own_events_free(struct own_events *x);    /* NULL is allowed */

void own_events_add(struct own_events *x, const struct image_key *key, int64_t size, int64_t mtime_ns);

/* 1 when a file of this size and time was expected under the key; it is not expected any more then. */
int own_events_take(struct own_events *x, const struct image_key *key, int64_t size, int64_t mtime_ns);

#endif
