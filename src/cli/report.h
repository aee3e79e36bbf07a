/* Runs a job for a command: progress, problems as they come, the summary or the JSON at the end. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/cli.h"
#include "cli/progress.h"

struct report {
    struct cli *cli;
    struct job *job;
    json_t *errors; /* with --json: the problems, as {"collection", "path", "error"} */
    json_t *files;  /* those that `check` tells of; NULL but in JSON */
    json_t *more;   /* likewise: members that the JSON shall have, too */
    struct progress *progress;
    int64_t started_ms;
};

/* What a command's job is made of. */
struct report_job {
    void (*init)(struct job *job, struct store *store, job_problem_fn *problem, void *arg);
    int (*run)(struct job *job, const struct cli *cli);
    void (*summary)(const struct report *r); /* printed when it ran to its end and JSON was not asked for */
    int failed;                              /* as report_end has it */
    int also_failed;                         /* another one; 0: none */
};

/* Runs it on the store. Returns the exit code. */
int report_run(struct cli *cli, const struct report_job *what);

/* Or step by step. For job_init: prints a problem, or keeps it for the JSON. arg is the report. */
void report_problem(void *arg, const struct image_key *key, const struct error *why);

void report_begin(struct report *r, struct cli *cli, struct job *job);

/* Prints all counters, seconds and errors as JSON when that was asked for. `failed` is the counter of problems that
 * make the command fail (-1: none). Returns the exit code; a failure of the job is printed. */
int report_end(struct report *r, int failed);

/* Seconds since report_begin. */
double report_seconds(const struct report *r);

#endif
