/* Inside the table of pending files; for pending*.c. */
#ifndef WATCH_PENDING_INTERNAL_H
#define WATCH_PENDING_INTERNAL_H

#include <pthread.h>
#include <stddef.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/lock.h"
#include "watch/pending.h"

/* From PLACE_FAILED on: judged, and remembered until the file changes. */
enum place {
    PLACE_READY,
    PLACE_FOUND,
    PLACE_SUSPECT,
    PLACE_LATER,
    PLACE_TAKEN,
    PLACE_FAILED,
    PLACE_OLDER,
    PLACE_NOT_KEPT
};
#define PLACES (PLACE_NOT_KEPT + 1)

struct pending_slot {
    struct pending_file file; /* first: takers hold a pointer to it */
    UT_hash_handle hh;
    struct pending_slot *prev, *next; /* in the list of its place, if that has one */
    enum place place;
    uint64_t again;  /* the first note that came while it was taken; 0: none */
    int found_again; /* one of those notes came from a scan */
    unsigned tries; /* that ended in PENDING_RETRY */
    unsigned scan;  /* the last one that met it */
    uint64_t noted; /* the order of notes: the oldest one that is not dealt with */
    int64_t since_ms, due_ms;
    int why_code;
    int backlog; /* it waited at the last pending_backlog_begin, and was not taken in since */
    char *why;   /* NULL: nothing went wrong */
    size_t id_len;
    char id[]; /* collection '/' path; the key's strings lie behind it */
};

struct pending {
    struct lock lock;
    pthread_cond_t due;  /* something to take, or stopped */
    pthread_cond_t done; /* something was handed back, or stopped */
    size_t max;
    int stopped, overflowed;
    struct pending_slot *slots; /* by id, in the order of since_ms */
    struct pending_slot *ready, *found, *suspects, *later;
    size_t counts[PLACES];  /* but of PLACE_TAKEN */
    int64_t untold[PLACES]; /* judged in the present scan, and no room to remember */
    int64_t untold_before[PLACES];
    int64_t next_due_ms; /* of those in `later`, or before */
    int64_t hold_until_ms;
    int one_at_a_time;                /* after a hold, until it ends */
    const struct pending_slot *tried; /* the last one that was refused alone during the hold; only compared */
    int tries_of_it, files_tried;
    int alone_out; /* a file that was handed out alone is not back yet */
    int64_t backlog, backlog_stored;
    uint64_t notes, mark; /* mark: of the last flush */
    unsigned scan;
    int64_t stored;
};

#define PENDING_ID_SIZE 4200

size_t pending_id(char id[PENDING_ID_SIZE], const struct image_key *key);
struct pending_slot *pending_find(struct pending *p, const struct image_key *key);
void pending_place(struct pending *p, struct pending_slot *s, enum place place); /* takes it from where it was */
void pending_remove(struct pending *p, struct pending_slot *s);
int pending_remember(struct pending *p, struct pending_slot *s, enum place place, const struct error *why);
size_t pending_remembered(const struct pending *p);

static inline int pending_waits(const struct pending_slot *s)
{
    return s->place < PLACE_FAILED;
}

void pending_wait_until(struct pending *p, pthread_cond_t *cond, int64_t deadline_ms);

#endif
