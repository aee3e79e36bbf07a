/* Reads that share: however many ask for one image, it is looked for once. The engine of the reads of stored images
 * (store/store_fetch.c) and of copies of origins' images (store/store_proxy.c), which bring the stages.
 *
 *     coalesce_read -> [ stage 0 ] -> coalesce_pass -> [ another stage ] -> ... -> coalesce_finish
 *
 * Each stage has its own queue and threads, so that a place that hangs delays only the reads that need it. A flight is
 * one search for one image; one thread works on it at a time. A read joins the flight of its image if that is ASKED,
 * and starts one otherwise.
 *
 *     phase                        coalesce_close   coalesce_merge   coalesce_answer, coalesce_finish
 *     ASKED    in table `asked`    to CLOSED        not allowed      allowed
 *     CLOSED   in a list           no change        to SHARED        allowed
 *     SHARED   in table `shared`   to CLOSED        not allowed      allowed
 *
 * coalesce_merge moves a flight into the table `shared`, or hands its waiters to the flight that is there already. When
 * an image is forgotten, its flights become CLOSED, so that reads after a change never get what was looked up before.
 *
 * Each waiter gets one answer, from a thread that holds no lock. A limit bounds how long waiters wait: since something
 * last moved, and in all. A waiter whose time is up gets -ETIMEDOUT, and the flight goes on. The clock of the limits
 * stops while the process gets no processor time, so that a busy machine is not taken for a database that hangs. */
#ifndef STORE_COALESCE_H
#define STORE_COALESCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "base/thread.h"
#include "base/workers.h"
#include "image/image.h"
#include "store/store.h"

#define COALESCE_MAX        16384 /* flights; the next read is refused */
#define COALESCE_LIMITS_MAX 4

struct coalesce;
struct coalesce_waiter;

/* A limit of waiters' time, which begins when their flight passes to a stage that has it from one that has another. */
struct coalesce_limit {
    int64_t quiet_ms;   /* since something moved */
    int64_t longest_ms; /* in all */
    const char *why;    /* "cannot be read: ..." */
};

/* What moves there, by the engine's clock. */
struct coalesce_clock {
    atomic_llong moved_ms; /* coalesce_moved */
    atomic_int held;       /* not 0: it can't move, because of another place, and only longest_ms counts */
    int64_t more_ms;       /* added to quiet_ms; set by the hook `tick` */
};

struct flight {
    struct image_key key; /* both inside name; first, for those who read it */
    struct coalesce *engine;
    struct image *left; /* in memory, of a file that is gone: for those whose time is up */
    atomic_llong came;  /* bytes of it so far, which also is movement */
    /* private */
    struct image *answer;
    struct coalesce_waiter *waiters; /* in the order in which their times began */
    struct flight **table;           /* NULL: CLOSED, in the list of these */
    struct flight *prev, *next;
    UT_hash_handle hh;
    int limit;
    int64_t came_seen, came_ms;
    unsigned name_len;
    char *name; /* image_key_name */
};

struct coalesce_stage {
    const char *name; /* of its threads */
    int threads;      /* 0: there is no such stage */
    size_t batch_max; /* flights that its function is given at a time; at most COALESCE_BATCH_MAX */
    int limit;        /* index of the engine's limits */
    void (*run)(void *arg, void **flights, int count);
    struct workers *workers; /* private */
};
#define COALESCE_BATCH_MAX 8

struct coalesce_ops {
    size_t flight_size;                     /* of the owner's struct, which begins with a struct flight */
    void (*release)(struct flight *flight); /* what the owner's struct holds; may be NULL */
    void (*refuse)(struct flight *flight, const struct error *why); /* too many wait: finishes it */
    void (*forgotten)(struct flight *flight); /* a pattern meant it; called with the lock; may be NULL */
    void (*tick)(void *arg);                  /* before the limits are looked at; may be NULL */
    void (*late)(void *arg, int limit);       /* a waiter's time is up; it is told afterwards; may be NULL */
};

struct coalesce {
    const struct coalesce_ops *ops;
    void *arg; /* of the stages' functions and of the hooks */
    int stages_len;
    struct coalesce_stage *stages; /* every flight begins with the first */
    int limits_len;                /* 0: waiters wait as long as it takes */
    const struct coalesce_limit *limits;
    struct coalesce_clock *clocks; /* one for each limit */
    /* For the owner to read. */
    atomic_llong clock_ms; /* of the limits */
    atomic_int stopping;   /* what has no answer yet is given up */
    /* private */
    struct thread thread; /* counts the time; its lock is over the flights */
    int open;
    int flying;
    struct flight *asked, *shared; /* tables */
    struct flight *closed;         /* a list */
};

/* The owner has set its own fields; all of them are borrowed. */
void coalesce_init(struct coalesce *c);
void coalesce_destroy(struct coalesce *c); /* stopped */

/* Starts the threads. 0 or -errno. */
enum coalesce_limits { COALESCE_LIMITED, COALESCE_NO_LIMITS };
int coalesce_start(struct coalesce *c, enum coalesce_limits limited) __attribute__((warn_unused_result));

/* Refuses further reads and waits for the end of all flights: -ETIMEDOUT when that is later than deadline_ms
 * (clock_monotonic_ms; or THREAD_NEVER), then call it again. Once none flies, coalesce_end ends the threads. */
int coalesce_stop(struct coalesce *c, int64_t deadline_ms) __attribute__((warn_unused_result));
void coalesce_end(struct coalesce *c);

/* store_fetch, store_proxy. */
int coalesce_read(struct coalesce *c, const struct image_key *key, store_landed_fn *landed, void *arg)
    __attribute__((warn_unused_result));

/* Hands the flight on to a stage; where too many wait, it is refused. */
void coalesce_pass(struct flight *flight, int stage);

/* Its waiters' time is limited by this from now on. */
void coalesce_enter(struct flight *flight, int limit);

/* Further reads do not join it. */
void coalesce_close(struct flight *flight);

/* Of a CLOSED flight. 1: its waiters went to one that is SHARED already, or have the image, whose file is being
 * written, and it is freed; 0: it is SHARED. `filling` returns a reference to that image or NULL; it is called with the
 * lock. */
int coalesce_merge(struct flight *flight, struct image *(*filling)(struct flight *flight));

/* Gives the image to the waiters, and to all that join until the end. */
void coalesce_answer(struct flight *flight, struct image *image, const struct store_hit *found);

/* Ends the flight: gives its waiters the image (borrowed) or the reason, and frees it. */
void coalesce_finish(struct flight *flight, struct image *image, const struct store_hit *found,
                     const struct error *why);

/* The image was changed, or those that a pattern means were. */
void coalesce_forget(struct coalesce *c, const struct image_key *key);
void coalesce_forget_matching(struct coalesce *c, int (*is_meant)(const struct image_key *key, const char *pattern),
                              const char *pattern);

int coalesce_is_closed(const struct flight *flight);
int coalesce_has_waiters(const struct flight *flight);

/* Something of this limit's place has moved. */
void coalesce_moved(struct coalesce *c, int limit);

/* Moves the clock of the limits on by `ms` and answers the waiters whose time is up. Called by the engine's thread, and
 * by tests. */
void coalesce_time_passes(struct coalesce *c, int64_t ms);

#endif
