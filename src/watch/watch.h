/* Persists images as they are written: watches the folders of all collections and takes each file that is closed after
 * writing, or moved in, into the database; a scan now and then finds what events missed.
 *
 * Every file that is known to differ from its row has a truthful state; files that are not listed are persisted. */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

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
    int64_t not_kept, older; /* likewise */
    int64_t pending_bytes;
    int64_t oldest_pending_ms; /* age of the oldest one not persisted; 0: none */
    int64_t persisted;         /* since the start */
    int64_t rescans, overflows;
    struct error database; /* why the database takes no files (client/db_fault.h); code 0: it does, or was not asked */
    int deletes_stopped;   /* PERDURA_ON_DELETE=trash: too many vanished at once, nothing was trashed */
};

void watch_status(struct watch *w, struct watch_status *ret);

enum watch_state {
    WATCH_PENDING = 1,  /* will be stored */
    WATCH_FAILED = 2,   /* can't be stored, with the reason: this and the above are not persisted */
    WATCH_NOT_KEPT = 4, /* not an image, and only images are kept */
    WATCH_OLDER = 8     /* other content is stored under its name, and counts (PERDURA_CONFLICT) */
};

struct watch_file {
    struct image_key key;
    enum watch_state state;
    int64_t age_ms;
    const char *why; /* empty: there is no reason but time, or that of the database as a whole */
};

typedef void watch_file_fn(void *arg, const struct watch_file *file);

/* Tells the files of these states (or-ed), oldest first, at most `limit`; each is valid during the call. */
void watch_list(struct watch *w, unsigned states, int limit, watch_file_fn *tell, void *arg);

/* What the files are that are not kept, by the last part of their names, the most frequent kinds first. Returns how
 * many kinds were set; files of others, and those that there was no room to remember, are in none of them. */
#define WATCH_KIND_SIZE 12

struct watch_kind {
    char name[WATCH_KIND_SIZE]; /* "pdf"; "other" for names without such a part */
    int64_t files;
};

int watch_kinds(struct watch *w, struct watch_kind *ret, int max);

/* When nobody writes any more: logs at once which stored files were deleted lately (PERDURA_ON_DELETE=keep), rather
 * than when they have been gone for some seconds. */
void watch_tell_deletes(struct watch *w);

/* A file that was just committed by other means (a write through the API) and put on disk: its event is no news. */
void watch_expect(struct watch *w, const struct image_meta *meta);

/* Whether the file is known to wait to be persisted. */
int watch_waits_for(struct watch *w, const struct image_key *key);

/* Barrier: scans once more and returns 0 when everything that was on disk before the call is persisted, but for files
 * that are not kept. -ETIMEDOUT at deadline_ms (clock_monotonic_ms) when something is still pending; -EIO when a file
 * has failed, or a folder could not be listed, so that it is not known what is in it. The text names the first one. */
int watch_flush(struct watch *w, int64_t deadline_ms, struct error *e) __attribute__((warn_unused_result));

/* Stops the threads; what is pending stays on disk, for the next start. NULL is allowed. */
void watch_stop(struct watch *w);

#endif
