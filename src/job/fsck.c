#include "job/fsck.h"

#include <errno.h>

#include "job/bulk_read.h"
#include "job/recount.h"
#include "job/row_iter.h"
#include "store/store_object.h"

static const char *const counters[] = {[FSCK_SOUND] = "sound",
                                       [FSCK_LINKED] = "linked",
                                       [FSCK_DAMAGED] = "damaged",
                                       [FSCK_UNREACHABLE] = "unreachable",
                                       NULL};

void fsck_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "fsck", store, counters, problem, arg);
}

static void *enter(struct job *job)
{
    return job;
}

/* Reads all of what a row only names, and keeps nothing. */
static void check_linked(struct job *job, const struct image_meta *meta)
{
    struct error why;
    int r = store_reachable(job->store, meta, &why);
    if (r == 0)
        r = store_download(job->store, meta, -1, &job->stopped, &why);
    if (r == 0)
        job_count(job, FSCK_SOUND, 1);
    else if (r == -ENOTSUP)
        job_problem(job, FSCK_LINKED, &meta->key, &why);
    else if (r == -EBADMSG)
        job_problem(job, FSCK_DAMAGED, &meta->key, &why);
    else if (r != -ECANCELED)
        job_problem(job, FSCK_UNREACHABLE, &meta->key, &why);
}

static void take_image(void *thread, void *tag, const struct image_meta *meta, struct image *image,
                       const struct error *why)
{
    struct job *job = thread;
    (void)tag;
    if (image && image_is_linked(image))
        check_linked(job, meta);
    else if (image)
        job_count(job, FSCK_SOUND, 1);
    else if (meta)
        job_problem(job, why->code == -EBADMSG ? FSCK_DAMAGED : FSCK_UNREACHABLE, &meta->key, why);
    atomic_fetch_add(&job->done, 1);
    if (meta)
        atomic_fetch_add(&job->bytes, meta->size);
}

static void leave(void *thread)
{
    (void)thread;
}

static const struct bulk_read_ops ops = {enter, take_image, leave};

static void ask_for(void *arg, const struct image_meta *meta)
{
    static char tag; /* fetch wants one that is not NULL; ours says nothing */
    bulk_read_add(arg, meta, &tag);
}

int fsck_run(struct job *job)
{
    struct bulk_read *fetch;
    struct error why = {0};
    int r = bulk_read_start(&fetch, job, job_threads(job, 0), &ops, &why);
    if (r == 0) {
        r = row_iter(job, ask_for, fetch, &why);
        if (r < 0)
            job_fail(job, &why);
        bulk_read_finish(fetch);
    } else {
        job_fail(job, &why);
    }
    r = job->failure.code || job_stopped(job) ? 0 : recount(job->store, &why);
    if (r < 0)
        job_fail(job, &why);
    job_record(job);
    return job->failure.code;
}
