/* Takes every image beneath the collections' folders into the database. A file whose size and modification time are
 * those of its row is not even opened. */
#ifndef JOB_CACHE_ALL_H
#define JOB_CACHE_ALL_H

#include "job/job.h"

enum cache_all_counter {
    CACHE_ALL_CACHED,    /* stored now */
    CACHE_ALL_UNCHANGED, /* stored already */
    CACHE_ALL_IN_TRASH,  /* stored already, in the trash: stays there as long as the file stays as it is */
    CACHE_ALL_OLDER,     /* differs, but what is stored is newer and wins (PERDURA_CONFLICT) */
    CACHE_ALL_IGNORED,   /* not an image, and not called one */
    CACHE_ALL_FAILED
};

struct cache_all_options {
    const char *const *collections; /* ended by NULL */
    int checksum;                   /* read every file, whatever its size and time say */
};

void cache_all_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* 0 when it ran to its end (single problems are counted), else what stopped it, which is also in job->failure. */
int cache_all_run(struct job *job, const struct cache_all_options *options) __attribute__((warn_unused_result));

#endif
