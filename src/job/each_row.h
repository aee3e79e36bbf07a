/* Everything stored, a page at a time. */
#ifndef JOB_EACH_ROW_H
#define JOB_EACH_ROW_H

#include "job/job.h"

/* The meta is valid during the call. */
typedef void each_row_fn(void *arg, const struct image_meta *meta);

/* Calls `fn` for every row, in the trash or not, in order of id, until the job is stopped. A database that is away is
 * waited for within the job's patience. 0, or why there is no next page. */
int each_row(struct job *job, each_row_fn *fn, void *arg, struct error *e) __attribute__((warn_unused_result));

#endif
