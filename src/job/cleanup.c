#include "job/cleanup.h"

#include "job/recount.h"
#include "store/store_object.h"

static const char *const counters[] = {
    [CLEANUP_TRASHED] = "trashed", [CLEANUP_TRASHED_BYTES] = "trashed_bytes",
    [CLEANUP_PURGED] = "purged",   [CLEANUP_PURGED_BYTES] = "purged_bytes",
    [CLEANUP_OBJECTS] = "objects", NULL,
};

void cleanup_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "cleanup", store, counters, problem, arg);
}

static void add(struct job *job, enum cleanup_counter images, const struct store_tally *tally)
{
    job_count(job, images, tally->images);
    job_count(job, images + 1, tally->bytes); /* the bytes' counter follows the images' */
    atomic_fetch_add(&job->done, tally->images);
    if (tally->images && !job->dry_run)
        atomic_store(&job->eventful, 1);
}

static int remove_objects(struct job *job, struct error *e)
{
    int64_t due = 0;
    int r, removed;
    if (job->dry_run) {
        r = store_objects_due(job->store, &due, e);
        job_count(job, CLEANUP_OBJECTS, due);
        return r;
    }
    do {
        r = store_objects_remove(job->store, &removed, e);
        job_count(job, CLEANUP_OBJECTS, removed);
        if (removed)
            atomic_store(&job->eventful, 1);
    } while (r == 0 && removed && !job_stopped(job));
    return r;
}

static int trash_cold(struct job *job, int days, struct error *e)
{
    struct store_tally tally;
    int64_t limit_us;
    int r = store_cleanup_cold(job->store, days, &limit_us, &tally, e);
    if (r < 0)
        return r;
    if (job->dry_run) {
        add(job, CLEANUP_TRASHED, &tally);
        return 0;
    }
    atomic_fetch_add(&job->expected, tally.images);
    do {
        r = store_cleanup_trash(job->store, limit_us, &tally, e);
        if (r == 0)
            add(job, CLEANUP_TRASHED, &tally);
    } while (r == 0 && tally.images && !job_stopped(job));
    return r;
}

static int purge_old(struct job *job, struct error *e)
{
    struct store_tally tally;
    int r = store_cleanup_old(job->store, &tally, e);
    if (r < 0)
        return r;
    if (job->dry_run) {
        add(job, CLEANUP_PURGED, &tally);
        return 0;
    }
    atomic_fetch_add(&job->expected, tally.images);
    do {
        r = store_cleanup_purge(job->store, &tally, e);
        if (r == 0)
            add(job, CLEANUP_PURGED, &tally);
    } while (r == 0 && tally.images && !job_stopped(job));
    return r;
}

int cleanup_run(struct job *job, int days)
{
    struct error why = {0};
    int r = days ? trash_cold(job, days, &why) : 0;
    if (r == 0)
        r = purge_old(job, &why);
    if (r == 0)
        r = remove_objects(job, &why);
    if (r == 0 && !job->dry_run)
        r = recount(job->store, &why);
    if (r < 0)
        job_fail(job, &why);
    job_record(job);
    return job->failure.code;
}
