/* Moves uploads from PostgreSQL to their collections' buckets (PERDURA_ORIGINS), verified, each once, however many
 * instances do so at a time.
 *
 * 1. An upload is claimed, for as long as the claim is renewed; no transaction is open meanwhile.
 * 2. The object is written under the one key that the upload has had since it came. What is there already with the same
 *    content is the work of somebody who was killed before he could tell; with other content PERDURA_CONFLICT decides.
 * 3. Only when the storage has told the object's size and checksum (s3_put) the upload is marked as completed, and its
 *    bytes leave the row in the same statement.
 *
 * A bucket that can't be reached makes no upload fail: all stay pending. What is wrong with one upload, or with the
 * rights, makes it failed, with a reason; it is tried again, later and later. */
#ifndef JOB_SYNC_H
#define JOB_SYNC_H

#include "job/job.h"
#include "records/uploads.h"

enum sync_counter { SYNC_SYNCED, SYNC_PRESENT, SYNC_WAITING, SYNC_FAILED };

/* Told of each upload that is in its bucket now, by one thread at a time. */
typedef void sync_told_fn(void *arg, const struct upload *u);

struct sync_options {
    int even_if_not_due; /* those that failed a moment ago, too: somebody asks for it */
    sync_told_fn *told;  /* may be NULL */
    void *arg;
};

/* 0, or -EINVAL with a text that names the setting without which no bucket can be asked. */
int sync_check_settings(const struct config *config, struct error *e) __attribute__((warn_unused_result));

/* One round. Problems are told by the upload's name in place of a path: failures, which are counted, and that a bucket
 * can't be reached, which is no failure of the upload. */
void sync_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg);

/* Goes on until nothing is left that can be moved at present. SYNC_SYNCED includes SYNC_PRESENT; SYNC_WAITING is what
 * stays pending. A dry run counts what would be moved. 0, or what stopped it, which is also in job->failure. */
int sync_run(struct job *job, const struct sync_options *options) __attribute__((warn_unused_result));

/* One line of what came of it, for people. */
#define SYNC_SUMMARY_SIZE 256
const char *sync_summary(char ret[SYNC_SUMMARY_SIZE], struct job *job);

#endif
