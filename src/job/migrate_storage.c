#include "job/migrate_storage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/db_fault.h"
#include "fs/fdio.h"
#include "job/bulk_read.h"
#include "job/row_iter.h"
#include "store/store_object.h"

#define CHECK_MS 5000

static const char *const counters[] = {
    [MIGRATE_STORAGE_MOVED] = "moved",
    [MIGRATE_STORAGE_IN_PLACE] = "in_place",
    [MIGRATE_STORAGE_OTHER] = "other",
    [MIGRATE_STORAGE_FAILED] = "failed",
    NULL,
};

void migrate_storage_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "migrate-storage", store, counters, problem, arg);
}

/* One image */

static int upload(struct job *job, const struct image_meta *meta, const struct image *image, int spool, struct error *e)
{
    char url[IMAGE_URL_SIZE];
    struct image_meta moved = *meta;
    struct stat st = {0};
    if (spool >= 0 && fstat(spool, &st) < 0)
        return error_set(e, -errno, "its temporary file can't be looked at");
    int r = image_is_linked(image) ? store_upload(job->store, &moved, spool, &st, url, &job->stopped, e)
                                   : store_upload_bytes(job->store, &moved, image->bytes, url, &job->stopped, e);
    return r < 0 ? r : store_move(job->store, meta, NULL, url, e);
}

static int to_s3(struct job *job, const struct image_meta *meta, const struct image *image, struct error *e)
{
    int spool = -1, r = 0;
    if (image_is_linked(image)) {
        r = store_spool(job->store, &spool, e);
        if (r == 0)
            r = store_download(job->store, meta, spool, &job->stopped, e);
    }
    if (r == 0)
        r = upload(job, meta, image, spool, e);
    if (spool >= 0)
        close(spool);
    return r;
}

static int read_spool(int fd, const struct image_meta *meta, unsigned char **ret, struct error *e)
{
    unsigned char *bytes = malloc((size_t)meta->size + 1);
    if (!bytes)
        return error_set(e, -ENOMEM, "out of memory");
    if (fdio_read(fd, bytes, (size_t)meta->size, 0) < 0) {
        free(bytes);
        return error_set(e, -EIO, "can't be read back from its temporary file");
    }
    *ret = bytes;
    return 0;
}

static int to_db(struct job *job, const struct image_meta *meta, struct error *e)
{
    unsigned char *bytes = NULL;
    int spool;
    int r = store_spool(job->store, &spool, e);
    if (r < 0)
        return r;
    r = store_download(job->store, meta, spool, &job->stopped, e);
    if (r == 0)
        r = read_spool(spool, meta, &bytes, e);
    close(spool);
    if (r == 0)
        r = store_move(job->store, meta, bytes, NULL, e);
    free(bytes);
    return r;
}

static void *enter(struct job *job)
{
    return job;
}

static void leave(void *thread)
{
    (void)thread;
}

/* Whether no other image could be moved either. */
static int ends_all(struct job *job, int code, enum migrate_storage_to to)
{
    return db_fault_state(code) != DB_STATE_UP || code == -ENOSPC ||
           (code == -EHOSTDOWN && to == MIGRATE_STORAGE_TO_S3 && !store_objects_answer(job->store, CHECK_MS));
}

/* The tag says where to. */
static void take_image(void *thread, void *tag, const struct image_meta *meta, struct image *image,
                       const struct error *why)
{
    struct job *job = thread;
    struct error e = *why;
    const enum migrate_storage_to *to = tag;
    int r = e.code;
    if (image && image_is_linked(image))
        r = store_reachable(job->store, meta, &e);
    if (r == 0 && image && !job_stopped(job))
        r = *to == MIGRATE_STORAGE_TO_S3 ? to_s3(job, meta, image, &e) : to_db(job, meta, &e);
    if (image && r == 0)
        job_moved(job, MIGRATE_STORAGE_MOVED, meta->size);
    else if (r < 0 && ends_all(job, r, *to))
        job_fail(job, &e);
    else if (r != -ECANCELED && r != -ENOENT && meta)
        job_problem(job, MIGRATE_STORAGE_FAILED, &meta->key, &e);
    atomic_fetch_add(&job->done, 1);
}

static const struct bulk_read_ops ops = {enter, take_image, leave};

/* All images */

struct moving {
    struct job *job;
    struct bulk_read *fetch; /* NULL: a dry run */
    enum migrate_storage_to to;
};

static void consider(void *arg, const struct image_meta *meta)
{
    struct moving *m = arg;
    struct job *job = m->job;
    int large = meta->size > store_inline_max(job->store);
    int placed = large ? store_object_is_ours(job->store, meta) : meta->url == NULL;
    int wanted = large == (m->to == MIGRATE_STORAGE_TO_S3);
    if (!placed && wanted && m->fetch) {
        bulk_read_add(m->fetch, meta, &m->to);
        return;
    }
    if (!placed && wanted)
        job_moved(job, MIGRATE_STORAGE_MOVED, meta->size);
    else
        job_count(job, placed ? MIGRATE_STORAGE_IN_PLACE : MIGRATE_STORAGE_OTHER, 1);
    atomic_fetch_add(&job->done, 1);
}

int migrate_storage_run(struct job *job, enum migrate_storage_to to)
{
    struct moving m = {.job = job, .to = to};
    struct error why = {0};
    int r = to == MIGRATE_STORAGE_TO_S3 && !store_takes_large(job->store)
                ? error_set(&why, -EINVAL, "PERDURA_LARGE_BUCKET is not set: there is nowhere to move images to")
                : 0;
    if (r == 0 && !job->dry_run)
        r = bulk_read_start(&m.fetch, job, job_threads(job, 0), &ops, &why);
    if (r == 0)
        r = row_iter(job, consider, &m, &why);
    if (r < 0)
        job_fail(job, &why);
    if (m.fetch)
        bulk_read_finish(m.fetch);
    job_record(job);
    return job->failure.code;
}
