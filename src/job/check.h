/* Compares the folders with the store, file by file, and changes neither. */
#ifndef JOB_CHECK_H
#define JOB_CHECK_H

#include "job/job.h"

/* The marks are those of `rclone check --combined`, the disk standing where rclone has its source. */
enum check_mark {
    CHECK_SAME = '=',
    CHECK_DISK_ONLY = '+',
    CHECK_STORE_ONLY = '-',
    CHECK_DIFFERS = '*',
    CHECK_ERROR = '!',
    CHECK_NOT_KEPT = '.' /* by the settings; no difference */
};

enum check_counter {
    CHECK_COUNT_SAME,
    CHECK_COUNT_DISK_ONLY,
    CHECK_COUNT_STORE_ONLY,
    CHECK_COUNT_DIFFERS,
    CHECK_COUNT_ERRORS,
    CHECK_COUNT_NOT_KEPT
};

struct check_options {
    const char *const *collections; /* ended by NULL */
    int quick;                      /* compare sizes and modification times only, read nothing */
    /* Told each file; `why` is NULL but for CHECK_ERROR, CHECK_DIFFERS and CHECK_NOT_KEPT. */
    void (*mark)(void *arg, enum check_mark mark, const struct image_key *key, const struct error *why);
    void *arg;
};

void check_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* 0 when it ran to its end, whatever it found; else what stopped it, which is also in job->failure. */
int check_run(struct job *job, const struct check_options *options) __attribute__((warn_unused_result));

#endif
