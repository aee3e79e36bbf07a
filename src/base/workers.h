/* A bounded queue and the threads that empty it.
 *
 *     workers_start -> [ workers_push ]... -> workers_finish
 *
 * Each thread runs `fn` once, which takes items until there are none and so can keep a connection or a buffer of its
 * own meanwhile. */
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include <stddef.h>

struct workers;

typedef void workers_fn(void *arg, struct workers *w);

/* Starts `threads` threads of this name (at most 15 bytes, for debuggers and profiles; a string that stays). The queue
 * holds at most queue_max items. 0, -ENOMEM, -EAGAIN (no more threads). */
int workers_start(struct workers **ret, const char *name, int threads, size_t queue_max, workers_fn *fn, void *arg)
    __attribute__((warn_unused_result));

/* Queues an item; while the queue is full, waits until half of it is free. -EPIPE once the workers were stopped: the
 * item stays the caller's.
 */
int workers_push(struct workers *w, void *item) __attribute__((warn_unused_result));

/* Likewise, but -EAGAIN at once while the queue is full. */
int workers_push_now(struct workers *w, void *item) __attribute__((warn_unused_result));

/* For workers: the next item, waiting for one. NULL: no more will come. */
void *workers_take(struct workers *w);

/* Likewise up to `max` items at once: those that are there. Returns how many. 0: no more will come. */
size_t workers_take_some(struct workers *w, void **ret, size_t max);

/* Likewise one, but NULL at once when none is there. */
void *workers_take_now(struct workers *w);

/* From any thread: no item is handed out any more. */
void workers_stop(struct workers *w);

/* Says that no more items come, waits for the threads, gives items that no one took to `drop` (may be NULL), frees. */
void workers_finish(struct workers *w, void (*drop)(void *arg, void *item), void *arg);

#endif
