#include "job/restore_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "client/db.h"
#include "config/config.h"
#include "job/restore.h"
#include "store/folders.h"
#include "store/ingest.h"
#include "store/store_object.h"
#include "store/store_row.h"

/* A group is published when it is this large or this old; what is written and not yet published nobody sees, and is
 * lost work after a crash. */
#define GROUP_FILES 1024
#define GROUP_BYTES (32 << 20)
#define GROUP_MS    500

/* A database that is gone now ends the job before long, and is not waited for here. */
#define DELETED_MS 5000

/* Temporaries of one collection in one thread. Each has a staging folder of its own: threads that create files in one
 * folder wait for each other. */
struct group {
    const char *collection;
    struct staging *staging;
    int count;
    int64_t bytes;
    int64_t begun_ms;
    struct atomicfile *files; /* GROUP_FILES; their paths are owned */
    struct restore_withheld *withheld;
    int64_t *sizes, *ids;
};

struct restorer {
    struct job *job;
    size_t groups_len;
    struct group groups[];
};

static void *enter(struct job *job)
{
    const struct config *config = store_config(job->store);
    struct restorer *t = calloc(1, sizeof *t + config->collections_len * sizeof t->groups[0]);
    if (!t)
        return NULL;
    t->job = job;
    t->groups_len = config->collections_len;
    for (size_t i = 0; i < t->groups_len; i++)
        t->groups[i].collection = config->collections[i].name;
    return t;
}

/* A full disk ends the job, and so does a folder that is gone: every other file would meet the same fate. */
static void tell_problem(struct job *job, const struct image_key *key, const struct error *why)
{
    struct error gone;
    if (store_folder_in_place(job->store, key->collection, &gone) < 0) {
        job_count(job, RESTORE_FAILED, 1);
        job_fail(job, &gone);
        return;
    }
    job_problem(job, RESTORE_FAILED, key, why);
    if (why->code == -ENOSPC || why->code == -EDQUOT || why->code == -EROFS)
        job_fail(job, why);
}

/* Takes the path over. 0, or -ENOMEM. */
static int withhold(struct restore_withheld *w, const char *collection, char *path)
{
    struct restore_key *one = malloc(sizeof *one);
    if (!one)
        return -ENOMEM;
    *one = (struct restore_key){collection, path, NULL};
    lock_take(&w->lock);
    LL_PREPEND(w->keys, one);
    w->count++;
    lock_give(&w->lock);
    return 0;
}

static void count_restored(struct job *job, int64_t bytes)
{
    metric_inc(METRIC_restored);
    metric_add(METRIC_restored_bytes, METRIC_none, METRIC_none, bytes);
    job_moved(job, RESTORE_RESTORED, bytes);
}

/* What another process has deleted since it was listed goes again, or the deleted image would be served from its file.
 * (In this process the gate withholds it.) One that is deleted behind this question finds its file: store_delete. */
static void take_back(struct restorer *t, struct group *g)
{
    int64_t deleted[GROUP_FILES];
    db_deadline(clock_monotonic_ms() + DELETED_MS);
    int n = store_deleted(t->job->store, g->ids, g->count, deleted, NULL);
    db_deadline(INT64_MAX);
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < g->count; i++) {
            struct atomicfile *file = &g->files[i];
            if (g->ids[i] == deleted[k] && file->result == 0 &&
                atomicfile_remove(g->staging, file->path, &file->made) == 0)
                file->result = -EEXIST;
        }
    }
}

static void publish(struct restorer *t, struct group *g)
{
    if (atomicfile_publish(g->staging, g->files, g->count) > 0) /* each file holds its own result */
        take_back(t, g);
    for (int i = 0; i < g->count; i++) {
        struct atomicfile *file = &g->files[i];
        struct image_key key = {g->collection, file->path};
        if (file->result == 0)
            count_restored(t->job, g->sizes[i]);
        else if (file->result == -ECANCELED && withhold(g->withheld, g->collection, (char *)file->path) == 0)
            continue;
        else if (file->result == -EEXIST || file->result == -ECANCELED)
            job_count(t->job, RESTORE_NEWER, 1); /* it was written, or deleted, while we were at it */
        else
            tell_problem(t->job, &key, &file->error);
        free((char *)file->path);
    }
    g->count = 0;
    g->bytes = 0;
}

static int ready(struct restorer *t, struct group *g, struct error *e)
{
    int root, r = 0;
    if (!g->staging)
        r = store_folder(t->job->store, g->collection, STORE_FOLDER_MAKE, &root, e);
    if (r == 0 && !g->staging)
        r = staging_open(root, &g->staging, e);
    if (r < 0 || g->files)
        return r;
    g->files = calloc(GROUP_FILES, sizeof *g->files);
    g->sizes = calloc(GROUP_FILES, sizeof *g->sizes);
    g->ids = calloc(GROUP_FILES, sizeof *g->ids);
    return g->files && g->sizes && g->ids ? 0 : error_set(e, -ENOMEM, "out of memory");
}

/* Compared on its way: what is not the image never becomes a file. */
static int download(struct restorer *t, const struct group *g, struct atomicfile *file, const struct image_meta *meta,
                    struct error *e)
{
    int fd = atomicfile_open(g->staging, file, e);
    if (fd < 0)
        return fd;
    int r = store_download(t->job->store, meta, fd, &t->job->stopped, e);
    return atomicfile_close(g->staging, file, fd, meta->mtime_ns, r, e);
}

static int write_file(struct restorer *t, struct group *g, const struct restore_target *target,
                      const struct image *image, struct error *e)
{
    int r = ready(t, g, e);
    if (r < 0)
        return r;
    struct atomicfile *file = &g->files[g->count];
    char *path = strdup(image->meta.key.path);
    if (!path)
        return error_set(e, -ENOMEM, "out of memory");
    *file = (struct atomicfile){.replace = target->replace,
                                .seen = target->seen,
                                .gate = ingest_copy_gate(t->job->store, g->collection),
                                .mark = target->mark,
                                .atime_ns = target->atime_ns};
    r = image_is_linked(image)
            ? download(t, g, file, &image->meta, e)
            : atomicfile_write(g->staging, file, image->bytes, (size_t)image->meta.size, image->meta.mtime_ns, e);
    if (r < 0) {
        free(path);
        return r;
    }
    file->path = path;
    g->withheld = target->withheld;
    int64_t now_ms = clock_monotonic_ms();
    if (!g->count)
        g->begun_ms = now_ms;
    g->ids[g->count] = image->meta.id;
    g->sizes[g->count++] = image->meta.size;
    g->bytes += image->meta.size;
    if (g->count == GROUP_FILES || g->bytes >= GROUP_BYTES || now_ms - g->begun_ms >= GROUP_MS)
        publish(t, g);
    return 0;
}

static struct group *group_of(struct restorer *t, const char *collection)
{
    for (size_t i = 0; i < t->groups_len; i++)
        if (strcmp(t->groups[i].collection, collection) == 0)
            return &t->groups[i];
    return NULL;
}

static void take_image(void *thread, void *tag, const struct image_meta *meta, struct image *image,
                       const struct error *why)
{
    struct restorer *t = thread;
    struct error problem = *why;
    struct group *g = meta ? group_of(t, meta->key.collection) : NULL;

    if (image && g && !job_stopped(t->job) && write_file(t, g, tag, image, &problem) == 0)
        problem.code = 0;
    if (problem.code < 0 && meta)
        tell_problem(t->job, &meta->key, &problem);
    free(tag);
}

static void leave(void *thread)
{
    struct restorer *t = thread;
    for (size_t i = 0; i < t->groups_len; i++) {
        struct group *g = &t->groups[i];
        if (g->count)
            publish(t, g);
        if (g->staging) {
            struct error gone;
            if (store_folder_in_place(t->job->store, g->collection, &gone) < 0)
                job_fail(t->job, &gone);
        }
        staging_close(g->staging);
        free(g->files);
        free(g->sizes);
        free(g->ids);
    }
    free(t);
}

const struct bulk_read_ops restore_files_ops = {enter, take_image, leave};
