/* A right that only a few may have at a time, in the order in which they asked for it.
 *
 *     turns_take -> [ turns_wanted ]... -> turns_give */
#ifndef BASE_TURNS_H
#define BASE_TURNS_H

#include <stdatomic.h>

struct turns;

struct turns *turns_new(void);    /* NULL when out of memory */
void turns_free(struct turns *t); /* nobody has one or waits; NULL is allowed */

/* Waits until fewer than `most` have it and all who asked before have had it. 0; -ECANCELED soon after *stopped is set;
 * -ENOMEM. */
int turns_take(struct turns *t, int most, const atomic_int *stopped) __attribute__((warn_unused_result));

/* Whether anybody waits: who has it and can do without for a moment gives it back then. */
int turns_wanted(struct turns *t);

void turns_give(struct turns *t);

#endif
