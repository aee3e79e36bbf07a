/* Hears of every change of an image, whoever made it: another instance, its watcher, plain SQL. What is remembered of
 * the image is forgotten, and a file that is an old revision is replaced (store_changed).
 *
 * A connection of its own listens; each notification is followed by reading what changed since the cursor
 * (feed_read.h), as is each (re)connect, so that nothing that was said while nobody listened is missed. Notifications
 * that come close together share a read. Where notifications do not come through (a pooler in transaction mode) or no
 * connection is to spare (PERDURA_DB_POOL of 2 or 3), the database is asked every FEED_POLL_MS. */
#ifndef FEED_FEED_H
#define FEED_FEED_H

#include "base/error.h"
#include "store/store.h"
#include "watch/watch.h"

struct feed;

#define FEED_POLL_MS 2000

/* Takes one connection off the store's pool. Before anything else uses that. */
void feed_reserve(struct store *store);

/* Starts the threads; both are borrowed, the watch may be NULL. */
int feed_start(struct feed **ret, struct store *store, struct watch *watch, struct error *e)
    __attribute__((warn_unused_result));

/* Waits until no later than deadline_ms (clock_monotonic_ms) for the cursor to have begun: what changes from then on is
 * heard. */
void feed_wait(struct feed *f, int64_t deadline_ms);

enum feed_mode { FEED_CONNECTING, FEED_LISTENING, FEED_POLLING };

struct feed_status {
    enum feed_mode mode;
    const char *mode_name; /* "connecting", "listening", "polling" */
    char why[160];         /* not listening: for this reason */
    int64_t lag_ms;        /* changes made since this long may be unheard; 0: none */
    int64_t stale_files;   /* that were changed elsewhere and are not replaced yet */
};

void feed_status(struct feed *f, struct feed_status *ret);

/* Ends the threads and frees; NULL is allowed. -EBUSY: the database holds one of them at deadline_ms, and nothing was
 * freed; may be called again. */
int feed_stop(struct feed *f, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
