/* One thing done to many images, which are named by number, or by a filter. */
#ifndef JOB_BULK_H
#define JOB_BULK_H

#include "job/job.h"
#include "store/store_search.h"

enum bulk_action {
    BULK_RESTORE,    /* put back on disk, as job/restore.h */
    BULK_INVALIDATE, /* forgotten by all instances' caches */
    BULK_TRASH,
    BULK_UNDELETE, /* out of the trash */
    BULK_PURGE     /* out of the trash for good */
};

/* The action of that name ("restore", "invalidate", "trash", "undelete", "purge"). -ENOENT. */
int bulk_action_named(const char *name);

/* The images that an action is about: live ones, or those in the trash. */
enum store_state bulk_state(enum bulk_action action);

#define BULK_IDS_MAX 1000

struct bulk_options {
    const int64_t *ids; /* up to BULK_IDS_MAX; NULL: */
    int ids_len;
    const struct store_filter *filter;
};

/* The job's kind is "bulk-restore" and so on. Its counters: those of a restore; of the others what was done
 * ("invalidated", "trashed", "undeleted", "purged"), `skipped` (in another state by then) and `failed`; and `matched`.
 */
void bulk_init(struct job *job, enum bulk_action action, struct store *store, job_problem_fn *problem, void *arg);

/* A dry run counts what would be done. 0 when it ran to its end, else what stopped it, which is also in job->failure.
 */
int bulk_run(struct job *job, enum bulk_action action, const struct bulk_options *options)
    __attribute__((warn_unused_result));

#endif
