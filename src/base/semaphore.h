/* A right that only a few may have at a time, in the order in which they asked for it.
 *
 *     semaphore_acquire -> [ semaphore_contended ]... -> semaphore_release */
#ifndef BASE_SEMAPHORE_H
#define BASE_SEMAPHORE_H

#include <stdatomic.h>

struct semaphore;

struct semaphore *semaphore_new(void);    /* NULL when out of memory */
void semaphore_free(struct semaphore *t); /* nobody has one or waits; NULL is allowed */

/* Waits until fewer than `most` have it and all who asked before have had it. 0; -ECANCELED soon after *stopped is set;
 * -ENOMEM. */
int semaphore_acquire(struct semaphore *t, int most, const atomic_int *stopped) __attribute__((warn_unused_result));

/* Whether anybody waits: who has it and can do without for a moment gives it back then. */
int semaphore_contended(struct semaphore *t);

void semaphore_release(struct semaphore *t);

#endif
