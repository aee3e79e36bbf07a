/* Preloads what is most likely asked for next: puts images back on disk, the most used first, no more than fit the size
 * limit in force (adaptive.h).
 *
 * Uses are counted by collection and hour, and by image without the hour. So the hour's history says how the images
 * are divided among the collections: avatars in the evening, say, receipts in the morning. Which images of a collection
 * they are is said by when each was last asked for, and how often. */
#ifndef JOB_WARMUP_H
#define JOB_WARMUP_H

#include "job/job.h"

struct warmup_options {
    const char *const *collections; /* ended by NULL */
    int64_t most;                   /* fewer than the limit in force; 0: as many as that */
};

/* The counters are restore's. */
void warmup_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* As restore_run. */
int warmup_run(struct job *job, const struct warmup_options *options) __attribute__((warn_unused_result));

/* Divides up to `most` images among collections by their requests, never more than a collection has: places[i] is the
 * share of the i-th one. Where nothing was asked for, it is as if everything had been once. */
struct warmup_demand {
    int64_t requests, images;
};
void warmup_divide(const struct warmup_demand *demands, size_t len, int64_t most, int64_t *places);

#endif
