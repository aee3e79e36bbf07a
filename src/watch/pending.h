/* The files that are not persisted, each with its state, and the order in which they are taken in.
 *
 *                 note, found                    take                 finish: stored, nothing
 *     (not listed) ---------> waiting (ready, later) ----> taken ----------------------------> (not listed)
 *                                  ^     ^                   |-- failed, not kept, older --> remembered by size and
 *                                  |     `---- retry --------|                          times, until the file changes
 *                                  `---------- check --------'   (stored; a second look is due)
 *
 * A suspect, which has failed by itself before, is handed out alone, and one suspect at a time: however long it takes,
 * other takers have the other files.
 *
 * What is noted again while it is taken waits again afterwards. The table holds at most as many files as it was made
 * for: what does not fit is not lost but has to be found by a scan (pending_overflowed). All calls lock. */
#ifndef WATCH_PENDING_H
#define WATCH_PENDING_H

#include <stdint.h>

#include "base/error.h"
#include "image/image.h"
#include "store/ingest.h"
#include "watch/watch.h"

struct pending;
struct classify_row;

/* What tells that a file or its row has changed since it was judged. */
struct pending_stamp {
    int64_t size, mtime_ns, ctime_ns;
    int64_t row_mtime_ns; /* INT64_MIN: no row */
};

/* One that was taken. pending*.c alone sets the first five, under its lock, which counts and lists of all files read
 * them under at any time; while the file is taken, nobody sets them, and its taker reads them without the lock. The
 * others are the taker's until pending_finish. */
struct pending_file {
    struct image_key key;
    int64_t size;               /* as far as it is known */
    int unclosed;               /* nobody has told that its writer is done with it */
    int urgent;                 /* a flush waits for it */
    int check;                  /* it is stored, with this sha256, and was so fresh that it must be read again */
    struct pending_stamp stamp; /* of what was judged, for failed and settled ones */
    unsigned char sha256[DIGEST_SHA256_LEN];
    struct ingest *write; /* while it is read and committed; NULL: it is not */
    int alone;            /* it was handed out alone, as a suspect or during a hold; set by pending*.c */
    int suspect;          /* its last failure was its own, or may have been */
    int found;            /* by a scan, which compared it with its row; set by pending*.c */
    int stale;            /* its last write found another row than this base: */
    struct ingest_base stale_base;
    int refused;              /* how often the database refused it as it would have refused any */
    int64_t refused_at;       /* how many files had been written by the last time */
    struct classify_row *row; /* as it was then; owned; NULL: to be asked for */
};

struct pending *pending_new(size_t max); /* NULL when out of memory */
void pending_free(struct pending *p);
void pending_stop(struct pending *p); /* whoever waits in here returns */

/* An event: the file may differ from its row. Due after delay_ms. -ENOSPC when the table is full. */
int pending_note(struct pending *p, const struct image_key *key, int64_t size, int64_t delay_ms);

/* Likewise for a file that somebody may still be writing: its taker finds it unclosed, unless that was noted since, or
 * a flush wants it. */
int pending_note_unclosed(struct pending *p, const struct image_key *key, int64_t size, int64_t delay_ms);

/* A scan came upon a file that differs from its row. Waits while many of them queue. 1 when that is news, 0 when it was
 * known, -ECANCELED once stopped. */
int pending_found(struct pending *p, const struct image_key *key, const struct pending_stamp *stamp, int64_t delay_ms);

/* A scan came upon something that can't be taken: 1 when that is news. */
int pending_failed(struct pending *p, const struct image_key *key, const struct error *why);

/* A file went, or is what its row says: what was remembered of it is forgotten. */
void pending_forget(struct pending *p, const struct image_key *key);

/* For takers: up to `max` files of one collection, a `share`th of those due, waiting for the first. A suspect, and any
 * file during a hold, comes alone. 0 once stopped. */
int pending_take(struct pending *p, struct pending_file **files, int max, int share);

/* Whether it waits or is taken. */
int pending_is(struct pending *p, const struct image_key *key);

enum pending_end {
    PENDING_STORED,   /* committed */
    PENDING_CHECK,    /* likewise, and to be read again soon */
    PENDING_NOTHING,  /* there was nothing to do */
    PENDING_OLDER,    /* differs from what is stored, which counts (PERDURA_CONFLICT); with the reason */
    PENDING_NOT_KEPT, /* is no image, and only images are kept */
    PENDING_FAILED,   /* with its reason */
    PENDING_RETRY     /* to be taken again, in a while when there is a reason, which is kept */
};

/* Hands one back. `why` may be NULL but where a reason is asked for above. 1 when a failure is news. */
int pending_finish(struct pending *p, struct pending_file *f, enum pending_end end, const struct error *why);

/* One that takes long and is no database's fault (an upload) keeps nothing else from being handed out alone. */
void pending_release(struct pending *p, struct pending_file *f);

/* Nothing is handed out for this time (the database is gone); then one file at a time, until a hold of 0. */
void pending_hold(struct pending *p, int64_t ms);

/* Marks the files that wait now, and returns how many. pending_backlog: how many of them were not taken in since, each
 * once at least, and how many were stored. */
int64_t pending_backlog_begin(struct pending *p);
int64_t pending_backlog(struct pending *p, int64_t *ret_stored);

/* Scans: what had failed in `collection` and was not met from begin to end is gone. */
void pending_scan_begin(struct pending *p);
void pending_scan_end(struct pending *p, const char *collection);

/* Whether some did not fit; asks once. Answers 0 while the table is still more than half full. */
int pending_overflowed(struct pending *p);

/* Makes all that waits due, and returns a mark for pending_wait. */
uint64_t pending_mark(struct pending *p);

/* Waits until nothing waits that was noted before the mark. -ETIMEDOUT at deadline_ms (clock_monotonic_ms), -ECANCELED
 * once stopped. */
int pending_wait(struct pending *p, uint64_t mark, int64_t deadline_ms);

struct pending_count {
    int64_t waiting, waiting_bytes, oldest_ms; /* oldest_ms: age */
    int64_t failed, not_kept, older;
    int64_t stored; /* since the start */
};

void pending_count(struct pending *p, struct pending_count *ret);

/* As watch_list and watch_kinds. */
void pending_list(struct pending *p, unsigned states, int limit, watch_file_fn *tell, void *arg);
int pending_kinds(struct pending *p, struct watch_kind *ret, int max);

/* Whether a failure lies in the file itself, so that only a change of it helps. */
int pending_own_fault(int code);

#endif
