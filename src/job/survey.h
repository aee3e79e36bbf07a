/* Walks a collection's folder and tells, for each file, what the store knows of it. Rows are looked up many at a
 * time, so memory is bounded whatever the size of the tree. */
#ifndef JOB_SURVEY_H
#define JOB_SURVEY_H

#include "fs/walk.h"
#include "job/job.h"

/* `row` is what is stored under the entry's path, NULL when nothing is; it and the entry are valid during the call.
 * A non-zero return ends the survey. */
typedef int survey_fn(void *arg, const struct walk_entry *entry, const struct image_meta *row);

/* 0, what fn returned, -ENOENT when the folder is missing, or a failure of the database. */
int survey(struct job *job, const char *collection, survey_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

#endif
