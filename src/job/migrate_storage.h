/* Moves images between the database and object storage, to where PERDURA_INLINE_MAX would put them today: what is above
 * it out of rows (and from foreign URLs) into PERDURA_LARGE_BUCKET, what is not into rows. Each is compared with its
 * sha256 on its way; its row changes last and in one step, so that it can be ended and started again at any time. What
 * the storage keeps of moved images is removed later, as all that no row needs (store/store_object.h). */
#ifndef JOB_MIGRATE_STORAGE_H
#define JOB_MIGRATE_STORAGE_H

#include "job/job.h"

enum migrate_storage_to { MIGRATE_STORAGE_TO_DB, MIGRATE_STORAGE_TO_S3 };

enum migrate_storage_counter {
    MIGRATE_STORAGE_MOVED,
    MIGRATE_STORAGE_IN_PLACE, /* it is where it belongs */
    MIGRATE_STORAGE_OTHER,    /* it belongs elsewhere, but not there: by its size */
    MIGRATE_STORAGE_FAILED
};

void migrate_storage_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* 0, or what stopped it, which is also in job->failure. -EINVAL: there is no bucket to move to. */
int migrate_storage_run(struct job *job, enum migrate_storage_to to) __attribute__((warn_unused_result));

#endif
