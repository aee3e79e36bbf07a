/* A fair counting semaphore: threads acquire it in the order in which they asked for it.
 *
 *     semaphore_acquire -> [ semaphore_contended ]... -> semaphore_release */
#ifndef BASE_SEMAPHORE_H
#define BASE_SEMAPHORE_H

#include <stdatomic.h>

struct semaphore;

struct semaphore *semaphore_new(void);    /* NULL when out of memory */
void semaphore_free(struct semaphore *t); /* not acquired, no thread waits; NULL is allowed */

/* Waits until fewer than `most` threads hold it and all that asked before have held it. 0; -ECANCELED soon after
 * *stopped is set; -ENOMEM. */
int semaphore_acquire(struct semaphore *t, int most, const atomic_int *stopped) __attribute__((warn_unused_result));

/* Whether a thread waits for it: a holder that can do without it for a moment releases it then. */
int semaphore_contended(struct semaphore *t);

void semaphore_release(struct semaphore *t);

#endif
