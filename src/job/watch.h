/* Persists images as they are written: watches the folders of all collections and takes each file that is closed after
 * writing, or moved in, into the database; a scan now and then finds what events missed.
 *
 * Every file that is known to differ from its row has a truthful state: pending until its commit, failed with its
 * reason; files that are not listed are persisted. */
#ifndef JOB_WATCH_H
#define JOB_WATCH_H

#include <stdint.h>

#include "base/error.h"
#include "image/image.h"
#include "store/store.h"

struct watch;

/* Starts watching and a first scan; returns when all watches are set, so that no file written after the return is
 * missed. A folder that is not there is made. -errno when there is no thread or no memory; a folder that can't be
 * watched is polled instead. */
int watch_start(struct watch **ret, struct store *store, struct error *e) __attribute__((warn_unused_result));

enum watch_mode { WATCH_EVENTS, WATCH_RESCANNING, WATCH_POLLING };

struct watch_status {
    enum watch_mode mode;
    char why[160];           /* of polling: "no inotify watches are left: ..." */
    int64_t folders;         /* under watch */
    int64_t pending, failed; /* files */
    int64_t pending_bytes;
    int64_t oldest_pending_ms; /* age of the oldest one not persisted; 0: none */
    int64_t persisted;         /* since the start */
    int64_t rescans, overflows;
    int deletes_stopped; /* PERDURA_ON_DELETE=trash: too many vanished at once, nothing was trashed */
};

void watch_status(struct watch *w, struct watch_status *ret);

/* Tells each file that is not persisted: pending (why->code 0) or failed, oldest first, at most `limit`. The key is
 * valid during the call. */
void watch_list(struct watch *w, int limit,
                void (*tell)(void *arg, const struct image_key *key, int64_t age_ms, const struct error *why),
                void *arg);

/* A file that was just committed by other means (a write through the API) and put on disk: its event is no news. */
void watch_expect(struct watch *w, const struct image_meta *meta);

/* Whether the file is known to wait to be persisted. */
int watch_waits_for(struct watch *w, const struct image_key *key);

/* Barrier: scans once more and returns 0 when everything that was on disk before the call is persisted or failed for a
 * reason of its own (text, too large). -ETIMEDOUT at deadline_ms (clock_monotonic_ms) when something is still
 * pending; -EIO and a text when files have failed for no fault of theirs (unreadable folder). */
int watch_flush(struct watch *w, int64_t deadline_ms, struct error *e) __attribute__((warn_unused_result));

/* Stops the threads; what is pending stays on disk, for the next start. NULL is allowed. */
void watch_stop(struct watch *w);

#endif
