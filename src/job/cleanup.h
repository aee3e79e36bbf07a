/* Moves images that were not used for a number of days into the trash, and empties the trash of those that have been
 * there for PERDURA_TRASH_DAYS. Then the objects go that no row has needed for a day. Files on disk are left alone:
 * they are the app's. */
#ifndef JOB_CLEANUP_H
#define JOB_CLEANUP_H

#include "job/job.h"

enum cleanup_counter { CLEANUP_TRASHED, CLEANUP_TRASHED_BYTES, CLEANUP_PURGED, CLEANUP_PURGED_BYTES, CLEANUP_OBJECTS };

void cleanup_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* With `days` 0 no image is moved into the trash. A dry run counts what would go. 0, or what stopped it, which is also
 * in job->failure. */
int cleanup_run(struct job *job, int days) __attribute__((warn_unused_result));

#endif
