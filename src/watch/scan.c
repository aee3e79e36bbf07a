/* The thread that puts folders beside their rows: what no event told is found here. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"
#include "client/db.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "watch/classify.h"
#include "watch/folder_diff.h"
#include "watch/watch_internal.h"

#define TICK_MS         500
#define PERIOD_FIRST_MS 60000 /* doubled while scans find nothing that events had missed */
#define PERIOD_LAST_MS  (30 * 60000)
#define POLL_FIRST_MS   2000
#define POLL_LAST_MS    60000
#define POLL_SHARE      10 /* of the time at most one part is spent scanning when events don't tell */
#define RETRY_FIRST_MS  500
#define RETRY_LAST_MS   5000

struct scan {
    struct watch *w;
    struct watch_folder *folder;
    int hurry;
    int64_t missed;
    int unreadable;
};

static void meet_file(struct scan *s, const struct image_key *key, const struct stat *st, const struct image_meta *row,
                      int *ret)
{
    struct pending_stamp stamp = {
        .size = st->st_size,
        .mtime_ns = clock_ns(st->st_mtim),
        .ctime_ns = clock_ns(st->st_ctim),
        .row_mtime_ns = row ? row->mtime_ns : INT64_MIN,
    };
    int young = watch_is_young(st, WATCH_SETTLE_MS);
    int r = pending_found(s->w->pending, key, &stamp, young && !s->hurry ? WATCH_SETTLE_MS : 0);
    if (r > 0 && !young)
        s->missed++;
    *ret = r < 0 ? r : 0;
}

static int visit(void *arg, const struct walk_entry *entry, const struct image_meta *row)
{
    struct scan *s = arg;
    struct image_key key = {s->folder->collection->name, entry->path};
    struct error why;
    if (atomic_load(&s->w->stopping))
        return -ECANCELED;
    int r = classify_entry(entry, &why);
    if (r < 0) {
        s->unreadable |= !pending_own_fault(r);
        if (pending_failed(s->w->pending, &key, &why))
            watch_tell_failure(s->w, &key, &why);
        return 0;
    }
    if (r == 0)
        return 0;
    if (classify_unchanged(&entry->st, row))
        pending_forget(s->w->pending, &key);
    else
        meet_file(s, &key, &entry->st, row, &r);
    return r < 0 ? r : 0;
}

/* What is in the folder is not known: it counts as a failed file itself, until a scan comes to its end. */
static void fail_root(struct watch_folder *f, const struct error *reason)
{
    struct image_key key = {f->collection->name, "."};
    struct error why;
    error_set(&why, reason->code, "the folder %s cannot be listed: %s", f->collection->root, reason->text);
    if (pending_failed(f->watch->pending, &key, &why))
        watch_tell_failure(f->watch, &key, &why);
}

static int is_listable(const struct watch_folder *f)
{
    int fd = safepath_open(f->root, ".", O_RDONLY | O_DIRECTORY, SAFEPATH_NO_LINKS);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Whether the folder is there to be scanned. One that does not exist holds nothing. */
static int is_there(struct watch_folder *f)
{
    struct error why;
    lock_take(&f->watch->lock);
    int gone = f->gone;
    if (gone)
        error_set(&why, gone, "%s", f->polling);
    lock_give(&f->watch->lock);
    if (gone && gone != -ENOENT)
        fail_root(f, &why);
    return !gone;
}

static int scan_folder(struct watch_folder *f, int hurry, int64_t *missed, struct error *e)
{
    struct watch *w = f->watch;
    struct scan s = {.w = w, .folder = f, .hurry = hurry};
    const struct folder_diff_options options = {
        .store = w->store, .collection = f->collection->name, .lock_ms = WATCH_LOCK_MS};
    if (!is_there(f))
        return 0;
    int r = folder_diff(&options, visit, &s, e);
    if (r == 0)
        pending_scan_end(w->pending, f->collection->name);
    *missed += s.missed;
    lock_take(&w->lock);
    f->listing_failed = s.unreadable || (r < 0 && !db_unavailable(r) && r != -ECANCELED);
    lock_give(&w->lock);
    if (r < 0 && !db_unavailable(r) && r != -ECANCELED && !is_listable(f)) {
        fail_root(f, e);
        return 0;
    }
    return r;
}

/* The events thread first tells all that waits in the kernel and puts every folder under watch: from then on, what a
 * scan does not see will be told. */
static void have_folders_watched(struct watch *w)
{
    uint64_t one = 1;
    lock_take(&w->lock);
    uint64_t wanted = ++w->arm_wanted;
    (void)!write(w->wake_fd, &one, sizeof one);
    while (w->arm_done < wanted && !atomic_load(&w->stopping))
        pthread_cond_wait(&w->changed, &w->lock.mutex);
    lock_give(&w->lock);
}

/* With the lock held. Whether the log does not have this reason yet. */
static int is_news(struct watch_logged *logged, const struct error *why)
{
    for (unsigned i = 0; i < logged->count && i < WATCH_REASONS; i++)
        if (logged->reasons[i].code == why->code && strcmp(logged->reasons[i].text, why->text) == 0)
            return 0;
    logged->reasons[logged->count++ % WATCH_REASONS] = *why;
    return 1;
}

/* One scan of all folders. 0, or what kept it from its end. */
static int scan(struct watch *w, int64_t *missed)
{
    struct error why = {0};
    lock_take(&w->lock);
    uint64_t wanted = w->scan_wanted;
    int hurry = w->hurry > 0;
    w->scanning = 1;
    lock_give(&w->lock);

    have_folders_watched(w);
    pending_scan_begin(w->pending);
    int r = 0;
    for (size_t i = 0; i < w->folders_len && r == 0; i++)
        r = scan_folder(&w->folders[i], hurry, missed, &why);
    why.code = r;

    lock_take(&w->lock);
    w->scanning = 0;
    w->rescans++;
    if (r == 0) {
        w->scan_done = wanted;
        w->scan_logged.count = 0;
    }
    int news = r < 0 && !db_unavailable(r) && r != -ECANCELED && is_news(&w->scan_logged, &why);
    w->scan_error = r == 0 ? (struct error){0} : why;
    pthread_cond_broadcast(&w->changed);
    lock_give(&w->lock);
    if (news)
        log_event(LOG_WARN, "folder scan failed", LOG_STR("error", why.text));
    return r;
}

static int64_t clamp(int64_t n, int64_t least, int64_t most)
{
    return n < least ? least : n > most ? most : n;
}

static int is_polling(struct watch *w)
{
    int yes = 0;
    lock_take(&w->lock);
    for (size_t i = 0; i < w->folders_len; i++)
        yes |= w->folders[i].polling[0] && !w->folders[i].gone;
    lock_give(&w->lock);
    return yes;
}

/* Waits for a tick, or less when a scan is wanted. Returns whether one is. */
static int wait_for_tick(struct watch *w)
{
    struct timespec until = clock_timespec((clock_monotonic_ms() + TICK_MS) * 1000000);
    lock_take(&w->lock);
    if (w->scan_wanted == w->scan_done && !atomic_load(&w->stopping))
        pthread_cond_timedwait(&w->changed, &w->lock.mutex, &until);
    int wanted = w->scan_wanted > w->scan_done;
    lock_give(&w->lock);
    return wanted;
}

/* A pause that a stop ends. */
static void rest(struct watch *w, int64_t ms)
{
    struct timespec until = clock_timespec((clock_monotonic_ms() + ms) * 1000000);
    int r = 0;
    lock_take(&w->lock);
    while (r == 0 && !atomic_load(&w->stopping))
        r = pthread_cond_timedwait(&w->changed, &w->lock.mutex, &until);
    lock_give(&w->lock);
}

void *watch_scan_run(void *arg)
{
    struct watch *w = arg;
    int64_t period_ms = PERIOD_FIRST_MS, retry_ms = RETRY_FIRST_MS, took_ms = 0, last_ms = clock_monotonic_ms();
    int first = 1;
    thread_set_name("watch-scan");
    while (!atomic_load(&w->stopping)) {
        int wanted = wait_for_tick(w);
        watch_vanish_settle(w);
        watch_keep_settle(w, 0);
        int64_t now_ms = clock_monotonic_ms();
        int64_t pause_ms = is_polling(w) ? clamp(took_ms * POLL_SHARE, POLL_FIRST_MS, POLL_LAST_MS) : period_ms;
        if (!wanted && !pending_overflowed(w->pending) && now_ms - last_ms < pause_ms)
            continue;
        int64_t missed = 0;
        int r = scan(w, &missed);
        last_ms = clock_monotonic_ms();
        took_ms = last_ms - now_ms;
        if (r < 0) { /* the database is gone, say: what is wanted stays wanted */
            watch_want_scan(w);
            rest(w, retry_ms);
            retry_ms = clamp(retry_ms * 2, 0, RETRY_LAST_MS);
            continue;
        }
        retry_ms = RETRY_FIRST_MS;
        period_ms = missed && !first ? PERIOD_FIRST_MS : clamp(wanted ? period_ms : period_ms * 2, 0, PERIOD_LAST_MS);
        first = 0;
    }
    return NULL;
}
