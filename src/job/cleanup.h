/* Moves images into the trash that were not used for a number of days, and empties the trash of those that have been
 * there for PERDURA_TRASH_DAYS. Then the objects go that no row has needed for a day. Files on disk are left alone:
 * they are the app's.
 *
 * A use is a request through Perdura, or an access to the file by the app (job/use.h). Where uses are not known, no
 * image is moved. The daily cleaning moves images only with PERDURA_CLEANUP_DAYS, only if their uses were known without
 * a gap for all these days, and only after they have been announced for a week (store/store_cleanup.h). */
#ifndef JOB_CLEANUP_H
#define JOB_CLEANUP_H

#include "job/instance.h"
#include "job/job.h"

enum cleanup_counter { CLEANUP_TRASHED, CLEANUP_TRASHED_BYTES, CLEANUP_PURGED, CLEANUP_PURGED_BYTES, CLEANUP_OBJECTS };

/* What counts as a use when somebody asks for a cleaning. */
enum cleanup_uses {
    CLEANUP_ALL_USES, /* accesses to files are noted first; fails with -EBUSY where they are not known */
    CLEANUP_REQUESTS  /* requests through Perdura, and accesses to files that were noted before */
};

void cleanup_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* A dry run counts what would go, by the uses that were noted before. 0, or what stopped it, which is also in
 * job->failure. */
int cleanup_run(struct job *job, int days, enum cleanup_uses uses) __attribute__((warn_unused_result));

/* The daily one. `instance` is this process, NULL when it is none. As cleanup_run; a failure that concerns only what is
 * moved into the trash does not keep the rest from being done. */
int cleanup_daily(struct job *job, struct instance *instance) __attribute__((warn_unused_result));

#endif
