/* Flights to images of the store: who waits for one, for how long, and how it ends. Private to store/store_fetch.c,
 * which flies them, and fetch_flight.c.
 *
 *     store_fetch -> flight_depart -> [ flight_join ] -> flight_land
 *
 * Each stage of a flight has a time limit of its own, which begins with the stage. A waiter whose limit has passed gets
 * -ETIMEDOUT; the flight goes on and fills the disk all the same.
 *
 *     FLIGHT_DISK    the disk is read or written, or that is queued: as long as the disk does anything, and 60 s more
 *                    (and 1 s for each MB that is being hashed); 10 minutes in all
 *     FLIGHT_SOURCE  the file is not on disk, Redis or the database are asked: 1.5 s since the database answered
 *                    anything; 20 s in all
 *     FLIGHT_OBJECT  the bytes come from object storage, or that is queued: 5 s since the last byte came; 20 s in all
 *
 * The clock of these limits stands still while this process does: a machine without processor time for us is no
 * database that does not answer.
 *
 * Who asks after a write hears of it: nobody boards a flight that is at the disk already, for its file may be changed,
 * nor one whose row was changed.
 *
 * One lock is over all flights; nobody is told anything while it is held. */
#ifndef STORE_FETCH_FLIGHT_H
#define STORE_FETCH_FLIGHT_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "base/workers.h"
#include "store/store_tiers.h"

#define FLIGHTS_MAX 16384
#define DB_REST_MS  1000 /* a database that did not answer is left alone for so long */

struct fetch_waiter;

enum flight_stage { FLIGHT_DISK, FLIGHT_SOURCE, FLIGHT_OBJECT };

struct fetch_flight {
    struct image_key key; /* both inside name; first, for those who read it */
    struct store_fetch *fetch;
    struct image *image;        /* of a large one, while its file is written */
    struct image *left;         /* in memory, of a file that is gone: for when the database can't be asked */
    struct image *linked;       /* the row, when its bytes are elsewhere */
    atomic_llong came;          /* bytes of it so far */
    int64_t came_seen, came_ms; /* when they were more the last time, by the clock of the limits */
    uint64_t mark;              /* of the disk, before that row was read */
    const char *tier;           /* where the first one was found */
    enum flight_stage stage;
    struct fetch_waiter *waiters; /* in the order in which their limits began */
    struct fetch_flight **table;  /* the one that it is in; NULL: nobody boards any more, it is in `closed` */
    struct fetch_flight *prev, *next;
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

struct store_fetch {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t stop; /* or the last one landed since */
    int started;         /* the threads run */
    int stopped;
    atomic_int ends;              /* what is under way from object storage is given up */
    struct fetch_flight *flights; /* that wait for a disk thread */
    struct fetch_flight *cold;    /* that are not on disk, until they land */
    struct fetch_flight *closed;  /* a list */
    int64_t db_rests_until_ms;
    atomic_llong clock_ms;  /* of the limits; flight_time_passes moves it on */
    int64_t db_answered_ms; /* by that clock */
    atomic_llong disk_answered_ms;
    int64_t disk_told_ms;                        /* when somebody was told that it does not respond */
    int fills;                                   /* threads of the sources that wait for the disk */
    struct workers *disk, *redis, *db, *objects; /* redis NULL: none */
    struct fill *fill;
    struct redis_fill *redis_fill; /* likewise */
    pthread_t patience;
};

/* Who waits is given the image, whose reference is taken, or told why not. Frees the flight. */
void flight_land(struct store_fetch *f, struct fetch_flight *flight, struct image *image, const char *tier,
                 const struct error *why);

/* Likewise an image that is at hand while its file is written. */
void flight_land_at_hand(struct store_fetch *f, struct fetch_flight *flight, struct image *image);

/* Hands it on; where too many wait, it lands. */
void flight_push(struct store_fetch *f, struct workers *to, struct fetch_flight *flight);

/* Nobody boards any more. Returns the image if it is at hand. */
struct image *flight_depart(struct store_fetch *f, struct fetch_flight *flight);

/* The file is not there. 1: the image is being fetched already, and who waited waits for that; or it has just come, and
 * they have it. 0: it has to be fetched. */
int flight_join(struct store_fetch *f, struct fetch_flight *flight);

/* The disk has done something. */
void flight_disk_answers(struct store_fetch *f);

/* Its next stage begins. */
void flight_enter(struct store_fetch *f, struct fetch_flight *flight, enum flight_stage stage);

/* Whether one is under way. With the lock. */
int flight_any(const struct store_fetch *f);

/* So much time has passed, as far as the limits go: those who have waited too long are told. */
void flight_time_passes(struct store_fetch *f, int64_t ms);

/* The thread that has it pass, until it is stopped; `arg` is the struct store_fetch. */
void *flight_patience(void *arg);

#endif
