/* The thread that hears what happens in the folders. It asks the database nothing, so that it is never late. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/thread.h"
#include "codec/sniff.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "store/folders.h"
#include "watch/classify.h"
#include "watch/watch_internal.h"

#define ROOT_CHECK_MS      1000 /* is the folder still there? */
#define ROOT_GONE_CHECK_MS 100
#define READS_A_TURN       64 /* so that one busy folder does not keep the others waiting */

static void set_polling(struct watch_folder *f, const char *why)
{
    lock_take(&f->watch->lock);
    int was = f->polling[0] != '\0', is = why != NULL;
    snprintf(f->polling, sizeof f->polling, "%s", why ? why : "");
    f->folders = f->events ? (int64_t)fs_watch_folders(f->events) : 0;
    lock_give(&f->watch->lock);
    if (is && !was)
        log_event(LOG_WARN, "inotify unavailable, polling the folder", LOG_STR("folder", f->collection->root),
                  LOG_STR("error", why));
    else if (was && !is)
        log_event(LOG_INFO, "inotify available again", LOG_STR("folder", f->collection->root));
}

static void arm(struct watch_folder *f)
{
    struct error why = {0};
    char network[96];
    const char *name = fs_watch_network(f->root);
    int r = f->events ? 0 : fs_watch_open(&f->events, f->root, f->collection->root, &why);
    if (r == 0)
        r = fs_watch_tree(f->events, "", NULL, NULL, &why);
    snprintf(network, sizeof network, "it lies on %s, where other machines' writes tell no events", name ? name : "");
    set_polling(f, r < 0 ? why.text : name ? network : NULL);
}

static void set_gone(struct watch_folder *f, const struct error *why)
{
    lock_take(&f->watch->lock);
    int was = f->gone;
    f->gone = why->code;
    lock_give(&f->watch->lock);
    fs_watch_close(f->events);
    f->events = NULL;
    if (!was)
        set_polling(f, why->text);
}

/* Looks whether the folder is still the one that is watched; takes up what has its name now. */
static void mind_root(struct watch_folder *f)
{
    struct watch *w = f->watch;
    struct error why = {0};
    f->root_told = 0;
    int r = store_folder_reopen(w->store, f->collection->name, &why);
    if (r < 0) {
        set_gone(f, &why);
        return;
    }
    lock_take(&w->lock);
    int was_gone = f->gone;
    lock_give(&w->lock);
    if (r == 0 && !was_gone)
        return;
    int root = -1;
    if (store_folder(w->store, f->collection->name, STORE_FOLDER_EXISTING, &root, &why) < 0)
        return;
    fs_watch_close(f->events);
    f->events = NULL;
    lock_take(&w->lock);
    f->root = root;
    f->gone = 0;
    lock_give(&w->lock);
    arm(f);
    watch_want_scan(w);
}

void watch_arm_all(struct watch *w)
{
    for (size_t i = 0; i < w->folders_len; i++) {
        mind_root(&w->folders[i]);
        if (w->folders[i].root >= 0 && !w->folders[i].gone)
            arm(&w->folders[i]);
    }
}

int watch_is_young(const struct stat *st, int64_t ms)
{
    int64_t age_ns = clock_realtime_us() * 1000 - clock_ns(st->st_mtim);
    return age_ns > -ms * 1000000 && age_ns < ms * 1000000;
}

/* Names that writers give to what they are going to rename. */
static int looks_temporary(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return name[0] == '.' || sniff_claimed(name) == SNIFF_NONE;
}

/* A path that can't be stored: said once, under a name that can be shown. */
static void refuse(struct watch_folder *f, const char *path, const struct error *why)
{
    char shown[SAFEPATH_MAX];
    struct image_key key = {f->collection->name, printable(shown, sizeof shown, path)};
    if (pending_failed(f->watch->pending, &key, why))
        watch_tell_failure(f->watch, &key, why);
}

static void note(struct watch_folder *f, const char *path, int64_t size, int64_t delay_ms)
{
    struct image_key key = {f->collection->name, path};
    struct error why;
    if (safepath_check(path, strlen(path), &why) < 0)
        refuse(f, path, &why);
    else
        (void)pending_note(f->watch->pending, &key, size, delay_ms); /* what finds no room is found by a scan */
}

static int meet(void *arg, const struct walk_entry *entry)
{
    struct watch_folder *f = arg;
    struct error why;
    int r = classify_entry(entry, &why);
    if (r < 0)
        refuse(f, entry->path, &why);
    else if (r > 0)
        note(f, entry->path, entry->st.st_size, watch_is_young(&entry->st, WATCH_SETTLE_MS) ? WATCH_SETTLE_MS : 0);
    return atomic_load(&f->watch->stopping) ? -ECANCELED : 0;
}

static void enter_folder(struct watch_folder *f, const char *path)
{
    struct error why = {0};
    if (safepath_check(path, strlen(path), &why) < 0) {
        refuse(f, path, &why);
        return;
    }
    int r = fs_watch_tree(f->events, path, meet, f, &why);
    if (r < 0 && r != -ECANCELED)
        set_polling(f, why.text);
}

static void file_told(struct watch_folder *f, const char *path)
{
    struct stat st;
    if (fstatat(f->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        note(f, path, st.st_size, looks_temporary(path) ? WATCH_SETTLE_MS : 0);
}

static void file_appeared(struct watch_folder *f, const char *path)
{
    struct image_key key = {f->collection->name, path};
    struct stat st;
    if (safepath_check(path, strlen(path), NULL) == 0 && /* else the next scan says so */
        fstatat(f->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        (void)pending_note_unclosed(f->watch->pending, &key, st.st_size, WATCH_UNCLOSED_MS);
}

static void note_gone(struct watch_folder *f, const char *path)
{
    watch_vanish_note(f, path);
    watch_keep_note(f, path, WATCH_KEEP_FILE);
}

/* A temporary that still waits was not stored: it has its last name now, and is no delete. */
static void file_gone(struct watch_folder *f, const char *path)
{
    struct image_key key = {f->collection->name, path};
    struct pending *pending = f->watch->pending;
    pending_forget(pending, &key);
    if (!looks_temporary(path) || !pending_is(pending, &key))
        note_gone(f, path);
}

static void on_event(void *arg, const struct fs_watch_event *event)
{
    struct watch_folder *f = arg;
    struct watch *w = f->watch;
    switch (event->kind) {
    case FS_WATCH_FILE:
        file_told(f, event->path);
        break;
    case FS_WATCH_APPEARED:
        file_appeared(f, event->path);
        break;
    case FS_WATCH_GONE:
        file_gone(f, event->path);
        break;
    case FS_WATCH_FOLDER:
        enter_folder(f, event->path);
        break;
    case FS_WATCH_OVERFLOW:
        lock_take(&w->lock);
        w->overflows++;
        lock_give(&w->lock);
        log_event(LOG_WARN, "inotify events lost, scanning the folder", LOG_STR("folder", f->collection->root),
                  LOG_STR("advice", "raise fs.inotify.max_queued_events if this happens often"));
        watch_want_scan(w);
        break;
    case FS_WATCH_FOLDER_GONE:
        break;
    case FS_WATCH_FOLDER_MOVED: /* what had failed beneath it is forgotten by the next scan */
        watch_keep_note(f, event->path, WATCH_KEEP_FOLDER);
        break;
    case FS_WATCH_ROOT_GONE:
        f->root_told = 1;
        break;
    }
}

static void drain(struct watch_folder *f)
{
    for (int i = 0; i < READS_A_TURN && f->events && fs_watch_read(f->events, 0, on_event, f) > 0; i++)
        ;
    if (!f->events)
        return;
    lock_take(&f->watch->lock);
    f->folders = (int64_t)fs_watch_folders(f->events);
    lock_give(&f->watch->lock);
}

/* Sets *ret_asked when somebody wants the folders gone through. */
static void wait_for_events(struct watch *w, int *ret_asked)
{
    struct pollfd *fds = w->polls;
    int timeout_ms = ROOT_CHECK_MS;
    uint64_t woken;
    fds[0] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < w->folders_len; i++) {
        const struct watch_folder *f = &w->folders[i];
        fds[i + 1] = (struct pollfd){.fd = f->events ? fs_watch_fd(f->events) : -1, .events = POLLIN};
        if (f->gone)
            timeout_ms = ROOT_GONE_CHECK_MS;
    }
    int n = poll(fds, w->folders_len + 1, timeout_ms);
    *ret_asked = n > 0 && fds[0].revents && read(w->wake_fd, &woken, sizeof woken) > 0;
}

static void arm_as_asked(struct watch *w)
{
    lock_take(&w->lock);
    uint64_t wanted = w->arm_wanted;
    lock_give(&w->lock);
    watch_arm_all(w);
    lock_take(&w->lock);
    w->arm_done = wanted;
    pthread_cond_broadcast(&w->changed);
    lock_give(&w->lock);
}

void *watch_events_run(void *arg)
{
    struct watch *w = arg;
    int64_t next_check_ms = 0;
    thread_set_name("watch-events");
    while (!atomic_load(&w->stopping)) {
        int asked;
        wait_for_events(w, &asked);
        int64_t now_ms = clock_monotonic_ms();
        int due = now_ms >= next_check_ms;
        if (due)
            next_check_ms = now_ms + ROOT_GONE_CHECK_MS;
        for (size_t i = 0; i < w->folders_len; i++) {
            drain(&w->folders[i]);
            if (due || w->folders[i].root_told)
                mind_root(&w->folders[i]);
        }
        if (asked)
            arm_as_asked(w);
    }
    return NULL;
}
