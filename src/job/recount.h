/* Repairs of what is kept beside the rows: counters and sequences. Both can be wrong where rows came without our
 * triggers and sequences, as on a logical subscriber or after a data-only restore. And of functions, which can have
 * been moved into another schema. Log what they have corrected. */
#ifndef JOB_RECOUNT_H
#define JOB_RECOUNT_H

#include "base/error.h"
#include "store/store.h"

/* Counts the rows and corrects the counters. Reads the whole table, and delays nobody. */
int recount(struct store *store, struct error *e) __attribute__((warn_unused_result));

/* At a start: corrects sequences, and counts only where the counters are obviously wrong. */
int recount_if_wrong(struct store *store, struct error *e) __attribute__((warn_unused_result));

/* Before migrations, whose statements may call the functions. */
int correct_paths(struct store *store, struct error *e) __attribute__((warn_unused_result));

#endif
