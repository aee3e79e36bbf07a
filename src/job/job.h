/* What all jobs share: named counters that anyone may watch, a place to tell problems, a reason to have stopped.
 *
 * A problem concerns one image and the job goes on; a failure (the database is gone, the disk is full) ends it. */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/lock.h"
#include "image/image.h"
#include "store/store.h"

#define JOB_COUNTERS 12

struct job_counter {
    const char *name; /* as it stands in JSON */
    atomic_llong value;
};

typedef void job_problem_fn(void *arg, const struct image_key *key, const struct error *why);

struct job {
    const char *kind; /* "cache-all" */
    struct store *store;
    int dry_run;
    int is_asked_for;    /* by somebody who looks for it in the history: it gets there whatever came of it */
    int64_t patience_ms; /* JOB_PATIENCE_MS unless changed after job_init; 0: a question is put once */
    int64_t started_us;
    struct job_counter counters[JOB_COUNTERS]; /* up to the first without a name */
    atomic_llong done;                         /* images looked at */
    atomic_llong expected;                     /* of so many; 0: unknown */
    atomic_llong bytes;                        /* moved */
    atomic_llong failures;                     /* problems with single images, that did not end it */
    job_problem_fn *problem;
    void *arg;
    struct lock lock;    /* over problem, ended and, until then, failure */
    atomic_int eventful; /* something was moved or went wrong: worth a line in the history */
    atomic_int stopped;
    struct error failure; /* why it stopped; code 0: it did not */
    int ended;            /* it is too late to fail */
};

/* Counters get their names from a NULL-ended list; the job's enum follows its order. `problem` is called by one
 * thread at a time. */
void job_init(struct job *job, const char *kind, struct store *store, const char *const *counter_names,
              job_problem_fn *problem, void *arg);
void job_release(struct job *job);

void job_count(struct job *job, int counter, int64_t n);

/* Counts one image that was written somewhere. */
void job_moved(struct job *job, int counter, int64_t bytes);

int64_t job_counted(struct job *job, int counter);

/* Likewise, and tells of a difference that is in order. */
void job_differs(struct job *job, int counter, const struct image_key *key, const struct error *why);

/* Counts a problem and tells it. */
void job_problem(struct job *job, int counter, const struct image_key *key, const struct error *why);

/* Tells a problem that has no counter. */
void job_tell(struct job *job, const struct image_key *key, const struct error *why);

/* Ends the job for the first reason given; later ones are ignored. From any thread, until job_release. -ECANCELED: it
 * was cancelled. */
void job_fail(struct job *job, const struct error *why);
int job_stopped(const struct job *job);

/* How one that is over has ended: "done", "done_with_failures" (of single images), "failed", "cancelled". */
const char *job_state(const struct job *job);

/* How long a job waits for a database that it had reached and lost. */
#define JOB_PATIENCE_MS 30000

/* For a question to the database that may be put twice: whether to put it again after the outcome `code`, waiting for
 * the database if need be. *deadline_ms is 0 at first and kept between the calls. */
int job_ask_again(struct job *job, int code, int64_t *deadline_ms);

/* How many threads may move images, each over a connection of its own, while one more connection looks things up. */
int job_threads(const struct job *job, int wanted);

/* Each of these threads takes a turn before it takes its connection, so that those of all jobs together leave one for
 * who has none, and for themselves when they need another. Who has nothing to do gives both back, and so does, after a
 * few images, who sees that others wait. -ECANCELED: the job is stopped; -ENOMEM. */
int job_acquire(struct job *job, struct error *e) __attribute__((warn_unused_result));
int job_contended(const struct job *job);
void job_yield(const struct job *job);

/* The job is over. Writes it and its counters into job_run, unless nothing happened that nobody asked for. Failing to
 * is no failure of the job. */
void job_record(struct job *job);

#endif
