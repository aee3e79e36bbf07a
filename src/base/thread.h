/* A thread that works until it is asked to stop, with the lock and the condition that it shares with its owner.
 * Embedded in the owner's struct.
 *
 *     thread_init -> thread_start -> [ thread_wait ... thread_wake ]... -> thread_stop -> thread_destroy */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>

#include "base/lock.h"

#define THREAD_NEVER INT64_MAX

typedef void thread_fn(void *arg);

struct thread {
    struct lock lock;       /* over what follows, and what the owner says of his own fields */
    pthread_cond_t changed; /* broadcast when any of them changes; its timed waits go by clock_monotonic_ms */
    int stopping;           /* it is to end */
    int woken;              /* there may be something to do */
    int ended;
    int started;
    pthread_t id;
    thread_fn *run;
    void *arg;
};

void thread_init(struct thread *t, enum lock_rank rank);
void thread_destroy(struct thread *t); /* not started, or stopped */

/* Runs run(arg) in a thread of this name (at most 15 bytes, for debuggers and profiles). 0 or -errno. */
int thread_start(struct thread *t, const char *name, thread_fn *run, void *arg) __attribute__((warn_unused_result));

/* Waits until it is woken, asked to stop, or `at_ms` (clock_monotonic_ms) has come. Returns whether to go on. The
 * second is for a caller that holds the lock. */
int thread_wait(struct thread *t, int64_t at_ms);
int thread_wait_locked(struct thread *t, int64_t at_ms);

/* For its owner, with the lock: waits for a change. Returns whether `at_ms` has come. */
int thread_wait_change(struct thread *t, int64_t at_ms);

int thread_is_stopping(struct thread *t);

/* Of a thread that was started otherwise: its name, as thread_start's. */
void thread_set_name(const char *name);

/* By any other thread. */
void thread_wake(struct thread *t);

/* Sets `stopping` and waits for the thread's end; an owner with more to set does both before, under the lock.
 * -ETIMEDOUT when it has not ended by deadline_ms: call again. 0 also for one that was not started. */
int thread_stop(struct thread *t, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
