/* Inside the watcher; for watch*.c.
 *
 *     events thread   inotify --------------------> pending    also puts folders under watch and minds the roots
 *     scan thread     folders beside rows --------> pending    at start, after lost events, now and then, for a flush
 *     intake threads  pending --> read, compare, commit
 *     upload threads     what is for object storage: read, compare, upload, commit
 *
 * watch.lock is taken alone, never together with the table's own. */
#ifndef WATCH_WATCH_INTERNAL_H
#define WATCH_WATCH_INTERNAL_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/workers.h"
#include "client/db_fault.h"
#include "fs/watch.h"
#include "watch/own_events.h"
#include "watch/pending.h"
#include "watch/watch.h"

/* One of them may be busy with a file that the server takes long for. */
#define WATCH_INTAKE_MIN 2
#define WATCH_INTAKE_MAX 8

/* Uploads may take minutes each: nobody else waits for them. */
#define WATCH_UPLOADS     4
#define WATCH_UPLOADS_MAX 1024 /* that wait; others are taken again later */

/* What is only being written, for all we can see (a young file that a scan meets, a name such as temporaries have), is
 * given this long until its writer's last word: the close, the rename. */
#define WATCH_SETTLE_MS 1000

/* Likewise for a file that appeared with content, from its last byte on. */
#define WATCH_UNCLOSED_MS 3000

/* An empty file is most likely about to be written: many libraries create a file, close it and open it again. */
#define WATCH_EMPTY_MS 10000

/* How long the watcher waits for a locked table when it asks for rows: it tries again later, and others need the
 * connection meanwhile. */
#define WATCH_LOCK_MS 500

struct watch_folder {
    struct watch *watch;
    const struct config_collection *collection;
    atomic_int root;         /* a number that stays; -1: it was never there */
    int root_told;           /* that it is gone; of the events thread, too */
    struct fs_watch *events; /* of the events thread; NULL: no inotify here */

    /* Under watch.lock: */
    int gone; /* why (-ENOENT: it does not exist); 0: it is there */
    int64_t folders;
    char polling[160];  /* why; empty when events tell everything */
    int listing_failed; /* the last scan could not see all */
};

struct vanished;
struct kept_files;

/* What the database as a whole has against files; state DB_STATE_UP: nothing. */
struct watch_outage {
    enum db_state state;
    struct error why;
    int64_t since_ms, pause_ms;
    unsigned logged; /* states, as bits */
    int64_t writes;  /* files that were written since the start */
};

/* Why scans have failed, as far as it was logged since the last one that did not. */
#define WATCH_REASONS 4 /* that may alternate, each logged once */

struct watch_logged {
    unsigned count; /* the last WATCH_REASONS of them are kept */
    struct error reasons[WATCH_REASONS];
};

/* What waited at the end of an outage is taken in. */
struct watch_drain {
    int active;
    int64_t since_ms, waited;
};

struct watch {
    struct store *store;
    struct pending *pending;
    struct own_events *expected;
    struct vanished *vanished; /* NULL with PERDURA_ON_DELETE=keep */
    struct kept_files *kept;   /* NULL without it */
    int intake_count;
    int started; /* threads, of the array below */
    pthread_t threads[WATCH_INTAKE_MAX + 2];
    struct workers *uploads; /* NULL: there is no object storage */
    int wake_fd;             /* for the events thread */
    struct pollfd *polls;    /* its own */
    atomic_int stopping;

    struct lock lock;
    pthread_cond_t changed;
    uint64_t arm_wanted, arm_done;
    uint64_t scan_wanted, scan_done; /* numbers of scans: all that were wanted when one begins are done by it */
    int scanning, hurry;             /* hurry: flushes under way */
    int64_t rescans, overflows;
    int deletes_stopped;
    struct error scan_error; /* why the last scan came to no end; code 0: it did not fail */
    struct watch_logged scan_logged;
    struct watch_outage outage;
    struct watch_drain drain;
    struct error storage; /* why object storage takes nothing; code 0: it does, as far as is known */
    int64_t storage_since_ms;

    size_t folders_len;
    struct watch_folder folders[];
};

/* watch.c */
void watch_want_scan(struct watch *w);
void watch_tell_failure(struct watch *w, const struct image_key *key, const struct error *why); /* logs */

/* watch_events.c */
void watch_arm_all(struct watch *w); /* by the events thread, or before it runs */
void *watch_events_run(void *arg);
int watch_is_young(const struct stat *st, int64_t ms);

/* watch_scan.c */
void *watch_scan_run(void *arg);

/* watch_intake.c */
void *watch_intake_run(void *arg);
void watch_upload_run(void *arg, struct workers *uploads);

/* watch_outage.c */
void watch_outage_note(struct watch *w, enum db_state state, const struct error *why);
void watch_outage_written(struct watch *w); /* a file was committed */
int64_t watch_outage_writes(struct watch *w);
void watch_outage_settle(struct watch *w); /* after each batch */
void watch_storage_note(struct watch *w, const struct error *why);
void watch_storage_written(struct watch *w);

/* watch_vanish.c: PERDURA_ON_DELETE=trash */
struct vanished *watch_vanish_new(void);
void watch_vanish_free(struct vanished *v); /* NULL is allowed */
void watch_vanish_note(struct watch_folder *f, const char *path);
void watch_vanish_settle(struct watch *w); /* now and then */

/* watch_keep.c: PERDURA_ON_DELETE=keep */
struct kept_files *watch_keep_new(void);
void watch_keep_free(struct kept_files *k); /* NULL is allowed */
enum watch_keep { WATCH_KEEP_FILE, WATCH_KEEP_FOLDER /* with all beneath it */ };
void watch_keep_note(struct watch_folder *f, const char *path, enum watch_keep what);
void watch_keep_settle(struct watch *w, int at_once); /* now and then; at_once: nobody writes any more */

#endif
