/* Puts stored images back on disk: the most recently used first, over several connections, each file complete or
 * absent. A file that is there and identical is left alone; one that is newer than what is stored is never replaced
 * unless it is asked for. */
#ifndef JOB_RESTORE_H
#define JOB_RESTORE_H

#include "job/job.h"

enum restore_counter { RESTORE_RESTORED, RESTORE_PRESENT, RESTORE_NEWER, RESTORE_FAILED };

struct restore_options {
    const struct image_key *keys; /* these, taken out of the trash if they are in there */
    int keys_len;
    const char *const *collections; /* or all of these, ended by NULL, where keys is NULL */
    const int64_t *places;          /* of each of these no more than the hottest so many; NULL: all */
    int cleaned_up;                 /* of these, only what a cleaning has moved into the trash; it comes out of there */
    int force;                      /* replace newer files too */
    int only_replace;               /* put no file where there is none */
    int threads;                    /* 0: as many as there are connections */
};

void restore_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* 0 when it ran to its end (single problems are counted), else what stopped it, which is also in job->failure. */
int restore_run(struct job *job, const struct restore_options *options) __attribute__((warn_unused_result));

/* Replaces files that are older than these rows, and puts none where there is none; that is no line in the history.
 * `mark` is ingest_mark (store/ingest.h) from before the rows were read. As restore_run. */
int restore_replace(struct job *job, const struct image_meta *rows, int count, uint64_t mark)
    __attribute__((warn_unused_result));

/* Puts back the files of these rows, which is no line in the history either. As restore_replace. */
int restore_rows(struct job *job, const struct image_meta *rows, int count, uint64_t mark)
    __attribute__((warn_unused_result));

#endif
