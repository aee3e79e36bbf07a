/* Replaces or removes the files that the feed has marked as stale (image/stale_files.h), in a thread of its own, so
 * that no large image and no slow disk keeps the feed from hearing.
 *
 * A file that waits to be persisted is let alone until it is: then PERDURA_CONFLICT has decided. One that was written a
 * moment ago may wait without the watcher's knowing yet. What fails is tried again. */
#ifndef FEED_APPLY_H
#define FEED_APPLY_H

#include "store/store.h"
#include "watch/watch.h"

struct feed_replace;

/* Both are borrowed; the watch may be NULL. -ENOMEM, -EAGAIN. */
int feed_replace_start(struct feed_replace **ret, struct store *store, struct watch *watch)
    __attribute__((warn_unused_result));

/* There is something to do. */
void feed_replace_wake(struct feed_replace *p);

/* Ends the thread and frees; NULL is allowed. -EBUSY: the database holds it at deadline_ms (clock_monotonic_ms), and
 * nothing was freed; may be called again. */
int feed_replace_stop(struct feed_replace *p, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
