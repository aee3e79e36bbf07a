/* Jobs that were asked for over HTTP: each runs in a thread of its own, one of a kind at a time, and the last ones can
 * be asked about. */
#ifndef API_JOBS_H
#define API_JOBS_H

#include <jansson.h>

#include "http/transaction.h"
#include "job/job.h"

struct jobs;

/* What a kind of job is made of. Arguments are the request's JSON body, an object. */
struct jobs_kind {
    const char *name;
    const char *group; /* of the jobs of a group one runs at a time; NULL: it is its own */
    void (*init)(struct job *job, struct store *store, job_problem_fn *problem, void *arg);
    int (*run)(struct job *job, const json_t *arguments);
    /* What who waits for its end is told, made of its description (borrowed); NULL: that itself. A failure, too, where
     * this is set. */
    json_t *(*answer)(struct job *job, const json_t *description);
};

int jobs_open(struct jobs **ret, struct store *store) __attribute__((warn_unused_result));
/* Cancels those that run; no more are started. */
void jobs_cancel(struct jobs *jobs);
/* Whether any still runs. */
int jobs_running(struct jobs *jobs);
/* Waits for those that run. NULL is allowed. */
void jobs_close(struct jobs *jobs);

/* Starts one and answers with what came of it when it has ended, or, with `later`, at once with 202 and its id. Takes
 * over the arguments. Called from a handler of place HTTP_INLINE. */
void jobs_start(struct jobs *jobs, struct http_transaction *x, const struct jobs_kind *kind, json_t *arguments,
                int later);

/* Whether the request asks for that: ?async, ?async=1; not ?async=0. */
int jobs_wants_later(const struct http_transaction *x);

/* What is known of a job; NULL: no job of that id. And of all that run. */
json_t *jobs_describe(struct jobs *jobs, int64_t id);
json_t *jobs_describe_running(struct jobs *jobs);

/* Has it end soon, as cancelled. -ENOENT: no job of that id; -EALREADY: it has ended. */
int jobs_cancel_one(struct jobs *jobs, int64_t id);

/* Adds one to the job's list of errors (takes the reference), while there is room; `arg` is what its init was given. */
void jobs_list_error(void *arg, json_t *error);

#endif
