#include "watch/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/printable.h"
#include "client/db.h"
#include "config/config.h"
#include "fs/staging.h"
#include "store/folders.h"
#include "store/store_object.h"
#include "watch/watch_internal.h"

#define PENDING_MAX    100000
#define FIRST_NAME_MAX 200 /* bytes */
#define EXPECTED_MAX   4096

void watch_want_scan(struct watch *w)
{
    lock_take(&w->lock);
    w->scan_wanted++;
    pthread_cond_broadcast(&w->changed);
    lock_give(&w->lock);
}

void watch_tell_failure(struct watch *w, const struct image_key *key, const struct error *why)
{
    (void)w;
    log_event(LOG_WARN, "file cannot be stored", LOG_STR("collection", key->collection), LOG_STR("path", key->path),
              LOG_STR("error", why->text));
}

/* One connection is the feed's, and one for all who need one for a moment: with what a job may hold as well, that one
 * is always left. A job that holds one may wait for another; intake threads hold none while they wait for one, so that
 * there may be two of them in the smallest pool, where one waits while the other has a connection. */
static int intake_threads(const struct config *config)
{
    int n = (config->db_pool - 2) / 2;
    return n < WATCH_INTAKE_MIN ? WATCH_INTAKE_MIN : n > WATCH_INTAKE_MAX ? WATCH_INTAKE_MAX : n;
}

static void open_folder(struct watch_folder *f)
{
    struct error why;
    int root;
    if (store_folder(f->watch->store, f->collection->name, STORE_FOLDER_MAKE, &root, &why) < 0)
        return; /* looked for again and again, and polled once it is there */
    f->root = root;
    (void)staging_sweep(root);
}

static struct watch *watch_new(struct store *store)
{
    const struct config *config = store_config(store);
    struct watch *w = calloc(1, sizeof *w + config->collections_len * sizeof w->folders[0]);
    if (!w)
        return NULL;
    clock_cond_init(&w->changed);
    lock_init(&w->lock, LOCK_watch);
    w->store = store;
    w->intake_count = intake_threads(config);
    w->pending = pending_new(PENDING_MAX);
    w->expected = own_events_new(EXPECTED_MAX);
    int trash = config->on_delete == CONFIG_ON_DELETE_TRASH;
    w->vanished = trash ? watch_vanish_new() : NULL;
    w->kept = trash ? NULL : watch_keep_new();
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->folders_len = config->collections_len;
    w->polls = calloc(w->folders_len + 1, sizeof w->polls[0]);
    for (size_t i = 0; i < w->folders_len; i++) {
        struct watch_folder *f = &w->folders[i];
        f->watch = w;
        f->collection = &config->collections[i];
        f->root = -1;
    }
    if (w->pending && w->expected && w->polls && (w->vanished || w->kept) && w->wake_fd >= 0)
        return w;
    watch_stop(w);
    return NULL;
}

static int start_threads(struct watch *w)
{
    int r = pthread_create(&w->threads[0], NULL, watch_events_run, w);
    if (r)
        return -r;
    w->started = 1;
    r = pthread_create(&w->threads[1], NULL, watch_scan_run, w);
    w->started += r == 0;
    if (!r && store_takes_large(w->store))
        r = -workers_start(&w->uploads, "watch-uploads", WATCH_UPLOADS, WATCH_UPLOADS_MAX, watch_upload_run, w);
    for (int i = 0; i < w->intake_count && !r; i++) {
        r = pthread_create(&w->threads[w->started], NULL, watch_intake_run, w);
        w->started += r == 0;
    }
    return -r;
}

static int64_t read_pending(void *arg)
{
    struct watch_status s;
    watch_status(arg, &s);
    return s.pending;
}

static int64_t read_failed(void *arg)
{
    struct watch_status s;
    watch_status(arg, &s);
    return s.failed;
}

static int64_t read_not_kept(void *arg)
{
    struct watch_status s;
    watch_status(arg, &s);
    return s.not_kept;
}

static int64_t read_oldest_us(void *arg)
{
    struct watch_status s;
    watch_status(arg, &s);
    return s.oldest_pending_ms * 1000;
}

/* `on` 0: they are shown no more. */
static void show_metrics(struct watch *w, int on)
{
    metric_reader(METRIC_pending_files, METRIC_none, METRIC_none, on ? read_pending : NULL, w);
    metric_reader(METRIC_failed_files, METRIC_none, METRIC_none, on ? read_failed : NULL, w);
    metric_reader(METRIC_not_kept_files, METRIC_none, METRIC_none, on ? read_not_kept : NULL, w);
    metric_reader(METRIC_oldest_pending_seconds, METRIC_none, METRIC_none, on ? read_oldest_us : NULL, w);
}

int watch_start(struct watch **ret, struct store *store, struct error *e)
{
    struct watch *w = watch_new(store);
    if (!w)
        return error_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < w->folders_len; i++)
        open_folder(&w->folders[i]);
    watch_arm_all(w);
    watch_want_scan(w);
    int r = start_threads(w);
    if (r < 0) {
        watch_stop(w);
        return error_set(e, r, "no threads for watching: %s", strerror(-r));
    }
    show_metrics(w, 1);
    *ret = w;
    return 0;
}

void watch_stop(struct watch *w)
{
    uint64_t one = 1;
    if (!w)
        return;
    show_metrics(w, 0);
    atomic_store(&w->stopping, 1);
    if (w->pending)
        pending_stop(w->pending);
    lock_take(&w->lock);
    pthread_cond_broadcast(&w->changed);
    lock_give(&w->lock);
    if (w->wake_fd >= 0)
        (void)!write(w->wake_fd, &one, sizeof one);
    for (int i = 0; i < w->started; i++)
        pthread_join(w->threads[i], NULL);
    if (w->uploads) {
        workers_stop(w->uploads);
        workers_finish(w->uploads, NULL, NULL);
    }
    for (size_t i = 0; i < w->folders_len; i++)
        fs_watch_close(w->folders[i].events);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    pending_free(w->pending);
    own_events_free(w->expected);
    watch_vanish_free(w->vanished);
    watch_keep_free(w->kept);
    free(w->polls);
    pthread_cond_destroy(&w->changed);
    lock_destroy(&w->lock);
    free(w);
}

void watch_status(struct watch *w, struct watch_status *ret)
{
    struct pending_count count;
    *ret = (struct watch_status){.mode = WATCH_EVENTS};
    pending_count(w->pending, &count);
    lock_take(&w->lock);
    if (w->scanning || w->scan_wanted > w->scan_done)
        ret->mode = WATCH_RESCANNING;
    for (size_t i = 0; i < w->folders_len; i++) {
        const struct watch_folder *f = &w->folders[i];
        ret->folders += f->folders;
        if (!f->polling[0])
            continue;
        ret->mode = WATCH_POLLING;
        memcpy(ret->why, f->polling, sizeof ret->why);
    }
    ret->rescans = w->rescans;
    ret->overflows = w->overflows;
    ret->deletes_stopped = w->deletes_stopped;
    if (w->outage.state != DB_STATE_UP)
        ret->database = w->outage.why;
    lock_give(&w->lock);
    ret->pending = count.waiting;
    ret->pending_bytes = count.waiting_bytes;
    ret->oldest_pending_ms = count.oldest_ms;
    ret->failed = count.failed;
    ret->not_kept = count.not_kept;
    ret->older = count.older;
    ret->persisted = count.stored;
}

/* Adds the reason that the files without one of their own have in common. */
struct watch_listing {
    watch_file_fn *tell;
    void *arg;
    const char *why;
};

static void tell_with_reason(void *arg, const struct watch_file *file)
{
    const struct watch_listing *l = arg;
    struct watch_file one = *file;
    if (one.state == WATCH_PENDING && !one.why[0])
        one.why = l->why;
    l->tell(l->arg, &one);
}

static struct error outage_of(struct watch *w)
{
    lock_take(&w->lock);
    struct error why = w->outage.state != DB_STATE_UP ? w->outage.why : (struct error){0};
    lock_give(&w->lock);
    return why;
}

void watch_list(struct watch *w, unsigned states, int limit, watch_file_fn *tell, void *arg)
{
    struct error why = outage_of(w);
    struct watch_listing l = {tell, arg, why.text};
    pending_list(w->pending, states, limit, tell_with_reason, &l);
}

int watch_kinds(struct watch *w, struct watch_kind *ret, int max)
{
    return pending_kinds(w->pending, ret, max);
}

void watch_tell_deletes(struct watch *w)
{
    watch_keep_settle(w, 1);
}

int watch_waits_for(struct watch *w, const struct image_key *key)
{
    return pending_is(w->pending, key);
}

void watch_expect(struct watch *w, const struct image_meta *meta)
{
    own_events_add(w->expected, &meta->key, meta->size, meta->mtime_ns);
}

/* Waits for a scan that begins after this call. */
static int scan_once_more(struct watch *w, int64_t deadline_ms)
{
    struct timespec until = clock_timespec(deadline_ms * 1000000);
    int r = 0;
    lock_take(&w->lock);
    w->hurry++;
    uint64_t wanted = ++w->scan_wanted;
    pthread_cond_broadcast(&w->changed);
    while (w->scan_done < wanted && r == 0 && !atomic_load(&w->stopping))
        r = pthread_cond_timedwait(&w->changed, &w->lock.mutex, &until);
    w->hurry--;
    int done = w->scan_done >= wanted;
    lock_give(&w->lock);
    return done ? 0 : r == ETIMEDOUT ? -ETIMEDOUT : -ECANCELED;
}

static void set_first_reason(void *arg, const struct watch_file *file)
{
    char path[FIRST_NAME_MAX];
    struct error *e = arg;
    if (!e->code && file->why[0])
        error_set(e, -EAGAIN, "%s: %s: %s", file->key.collection, printable(path, sizeof path, file->key.path),
                  file->why);
}

/* Why files are pending: for a reason that the database has, or one of them. */
static struct error pending_reason(struct watch *w)
{
    struct error why = outage_of(w);
    if (!why.code)
        pending_list(w->pending, WATCH_PENDING, INT_MAX, set_first_reason, &why);
    return why;
}

static int say_late(struct watch *w, int r, struct error *e)
{
    struct pending_count count;
    struct error why = pending_reason(w);
    pending_count(w->pending, &count);
    if (r == -ECANCELED)
        return error_set(e, r, "the watcher was stopped");
    lock_take(&w->lock);
    if (!why.code)
        why = w->scan_error;
    lock_give(&w->lock);
    if (!why.code)
        (void)!db_pool_waits(store_pool(w->store), &why);
    const char *colon = why.code ? ": " : "", *text = why.code ? why.text : "";
    if (!count.waiting)
        return error_set(e, r, "whether all files are persisted could not be found out in time%s%s", colon, text);
    char failed[64] = "";
    if (count.failed)
        snprintf(failed, sizeof failed, "; %lld %s cannot be persisted", (long long)count.failed,
                 count.failed == 1 ? "file" : "files");
    return error_set(e, r, "%lld %s not persisted yet, pending for up to %.1f s%s%s%s", (long long)count.waiting,
                     count.waiting == 1 ? "file is" : "files are", (double)count.oldest_ms / 1000, colon, text, failed);
}

static void set_first(void *arg, const struct watch_file *file)
{
    char path[FIRST_NAME_MAX];
    struct error *e = arg;
    error_set(e, -EIO, "%s: %s %s", file->key.collection, printable(path, sizeof path, file->key.path), file->why);
}

/* Everything was looked at: is everything persisted? */
static int check_all_persisted(struct watch *w, struct error *e)
{
    struct error first = {0};
    struct pending_count count;
    pending_count(w->pending, &count);
    if (!count.failed)
        return 0;
    pending_list(w->pending, WATCH_FAILED, 1, set_first, &first);
    return error_set(e, -EIO, "%lld %s cannot be persisted: %s%s", (long long)count.failed,
                     count.failed == 1 ? "file" : "files", first.text, count.failed == 1 ? "" : ", and others");
}

int watch_flush(struct watch *w, int64_t deadline_ms, struct error *e)
{
    int r;
    do {
        r = scan_once_more(w, deadline_ms);
        if (r == 0)
            r = pending_wait(w->pending, pending_mark(w->pending), deadline_ms);
    } while (r == 0 && pending_overflowed(w->pending));
    return r < 0 ? say_late(w, r, e) : check_all_persisted(w, e);
}
