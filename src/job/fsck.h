/* Reads every stored image, the trash and object storage included, and compares it with its sha256. Changes nothing. */
#ifndef JOB_FSCK_H
#define JOB_FSCK_H

#include "job/job.h"

enum fsck_counter {
    FSCK_SOUND,
    FSCK_LINKED, /* kept where nothing that is set up could ask: not looked at */
    FSCK_DAMAGED,
    FSCK_UNREACHABLE /* could not be read now: its host, or its row */
};

void fsck_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* 0 when it ran to its end, whatever it found; else what stopped it, which is also in job->failure. */
int fsck_run(struct job *job) __attribute__((warn_unused_result));

#endif
