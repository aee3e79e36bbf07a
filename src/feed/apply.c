#include "feed/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db.h"
#include "fs/fserror.h"
#include "fs/safepath.h"
#include "image/stale_files.h"
#include "job/restore.h"
#include "store/folders.h"
#include "store/ingest.h"

#define BATCH     256
#define LOOKUP_MS 5000
#define SOON_MS   100  /* what was being written */
#define FAILED_MS 5000 /* what could not be replaced */
#define LOOK_MS   100  /* whether something is due */
#define YOUNG_NS  INT64_C(100000000)

struct feed_replace {
    struct store *store;
    struct watch *watch;
    struct thread thread; /* its lock is over what follows, up to the files */
    struct job *job;      /* under way */

    /* Of the thread alone: */
    struct stale_file files[BATCH];
    int again_ms[BATCH];
    int count;
};

static void note_problem(void *arg, const struct image_key *key, const struct error *why)
{
    struct feed_replace *p = arg;
    for (int i = 0; i < p->count && why->code < 0; i++)
        if (strcmp(p->files[i].key.path, key->path) == 0 && strcmp(p->files[i].key.collection, key->collection) == 0)
            p->again_ms[i] = FAILED_MS;
    if (why->code < 0)
        log_event(LOG_WARN, "stale file not replaced", LOG_STR("collection", key->collection),
                  LOG_STR("path", key->path), LOG_STR("error", why->text));
}

enum { DONE, BUSY, DUE };

/* Whether the file is still the old one, and nobody is at it. */
static int look(struct feed_replace *p, const struct stale_file *file)
{
    struct stat st;
    int root;
    if (p->watch && watch_waits_for(p->watch, &file->key))
        return BUSY;
    if (store_folder(p->store, file->key.collection, STORE_FOLDER_EXISTING, &root, NULL) < 0)
        return DUE;
    int fd = safepath_open(root, file->key.path, O_PATH, SAFEPATH_BENEATH);
    if (fd < 0)
        return fserror_passes(fd) ? BUSY : DONE;
    int r = fstat(fd, &st);
    close(fd);
    if (r < 0 || st.st_dev != file->seen.st_dev || st.st_ino != file->seen.st_ino || st.st_size != file->seen.st_size ||
        clock_ns(st.st_mtim) != clock_ns(file->seen.st_mtim))
        return DONE;
    int64_t age_ns = clock_realtime_us() * 1000 - clock_ns(st.st_ctim);
    int is_young = age_ns >= 0 && age_ns < YOUNG_NS;
    return is_young || ingest_is_under_way(p->store, &file->key) ? BUSY : DUE;
}

static void remove_file(struct feed_replace *p, int i)
{
    const struct stale_file *file = &p->files[i];
    struct ingest write = {0};
    struct staging *staging;
    struct error why;
    int r = store_staging(p->store, file->key.collection, &staging, &why);
    if (r == 0) {
        ingest_begin(&write, p->store, INGEST_CONTENT, &file->key, NULL);
        r = atomicfile_remove(staging, file->key.path, &file->seen);
        ingest_file_changed(&write);
        ingest_end(&write);
        metric_add(METRIC_feed_replaced, METRIC_none, METRIC_none, r == 0);
    }
    if (r < 0 && r != -ENOENT && r != -EEXIST) {
        error_set(&why, r, "can't be removed: %s", strerror(-r));
        note_problem(p, &file->key, &why);
    }
}

static void set_job(struct feed_replace *p, struct job *job)
{
    lock_take(&p->thread.lock);
    p->job = job;
    if (job && p->thread.stopping)
        atomic_store(&job->stopped, 1);
    lock_give(&p->thread.lock);
}

/* `rows` are those of files to be replaced. */
static void replace_files(struct feed_replace *p, const struct image_meta *rows, int count, uint64_t mark)
{
    struct job job;
    restore_init(&job, p->store, note_problem, p);
    job.patience_ms = 0;
    set_job(p, &job);
    int failed = restore_replace(&job, rows, count, mark) < 0 || job_stopped(&job);
    set_job(p, NULL);
    metric_add(METRIC_feed_replaced, METRIC_none, METRIC_none, job_counted(&job, RESTORE_RESTORED));
    for (int i = 0; failed && i < p->count; i++)
        p->again_ms[i] = p->again_ms[i] ? p->again_ms[i] : FAILED_MS;
    job_release(&job);
}

/* All files of one collection, beginning with `first`. Sets again_ms of each; 0 stays for those dealt with. */
static void deal_with(struct feed_replace *p, int first, char *is_done)
{
    const char *collection = p->files[first].key.collection, *paths[BATCH];
    struct image_meta to_replace[BATCH];
    struct store_page *page;
    int places[BATCH], rows[BATCH], n = 0, replaced = 0;
    for (int i = first; i < p->count; i++) {
        if (is_done[i] || strcmp(p->files[i].key.collection, collection) != 0)
            continue;
        int state = look(p, &p->files[i]);
        is_done[i] = 1;
        p->again_ms[i] = state == DONE ? 0 : SOON_MS;
        if (state != DUE)
            continue;
        places[n] = i;
        paths[n++] = p->files[i].key.path;
    }
    uint64_t mark = ingest_mark(p->store);
    db_deadline(clock_monotonic_ms() + LOOKUP_MS);
    int r = n ? store_lookup(p->store, collection, paths, n, 0, rows, &page, NULL) : -ENOENT;
    db_deadline(INT64_MAX);
    if (r < 0)
        return;
    for (int i = 0; i < n; i++) {
        struct image_meta row = {0};
        p->again_ms[places[i]] = 0;
        if (rows[i] < 0)
            continue;
        store_page_meta(page, rows[i], &row);
        if (!row.deleted_us)
            to_replace[replaced++] = row;
        else if (p->files[places[i]].remedy == STALE_REMOVE)
            remove_file(p, places[i]);
    }
    if (replaced)
        replace_files(p, to_replace, replaced, mark);
    store_page_free(page);
}

static int replace_some(struct feed_replace *p)
{
    struct stale_files *stale = store_stale_files(p->store);
    char is_done[BATCH] = {0};
    p->count = stale_files_take(stale, p->files, BATCH);
    for (int i = 0; i < p->count; i++)
        if (!is_done[i])
            deal_with(p, i, is_done);
    for (int i = 0; i < p->count; i++)
        stale_files_settle(stale, &p->files[i], p->again_ms[i]);
    return p->count;
}

/* Waits until something may be due. Returns whether to go on. */
static int wait_for_work(struct feed_replace *p)
{
    int due = stale_files_count(store_stale_files(p->store)) > 0;
    return thread_wait(&p->thread, due ? clock_monotonic_ms() + LOOK_MS : THREAD_NEVER);
}

static void apply_run(void *arg)
{
    struct feed_replace *p = arg;
    while (wait_for_work(p))
        while (replace_some(p) == BATCH)
            ;
}

static void free_replace(struct feed_replace *p)
{
    thread_destroy(&p->thread);
    free(p);
}

int feed_replace_start(struct feed_replace **ret, struct store *store, struct watch *watch)
{
    struct feed_replace *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->store = store;
    p->watch = watch;
    thread_init(&p->thread, LOCK_feed_apply);
    int r = thread_start(&p->thread, "feed-apply", apply_run, p);
    if (r < 0)
        free_replace(p);
    else
        *ret = p;
    return r;
}

void feed_replace_wake(struct feed_replace *p)
{
    thread_wake(&p->thread);
}

int feed_replace_stop(struct feed_replace *p, int64_t deadline_ms)
{
    if (!p)
        return 0;
    lock_take(&p->thread.lock);
    p->thread.stopping = 1;
    if (p->job)
        atomic_store(&p->job->stopped, 1);
    lock_give(&p->thread.lock);
    if (thread_stop(&p->thread, deadline_ms) < 0)
        return -EBUSY;
    free_replace(p);
    return 0;
}
