/* Everything stored, a page at a time. */
#ifndef JOB_ROW_ITER_H
#define JOB_ROW_ITER_H

#include "job/job.h"

/* The meta is valid during the call. */
typedef void row_iter_fn(void *arg, const struct image_meta *meta);

/* Calls `fn` for every row, in the trash or not, in order of id, until the job is stopped. A database that is away is
 * waited for within the job's patience. 0, or why there is no next page. */
int row_iter(struct job *job, row_iter_fn *fn, void *arg, struct error *e) __attribute__((warn_unused_result));

#endif
