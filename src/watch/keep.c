/* PERDURA_ON_DELETE=keep: a stored file that somebody deletes stays stored and comes back with the next restore. The
 * log says so, once the file has been gone for some seconds (editors and apps delete a file and write it anew), and
 * names the setting. Of many deletes at a time a few are named and the rest is counted. A folder that is moved away
 * takes its files along: it is named, and the database knows how many there were. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metric.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "watch/watch_internal.h"

#define CONFIRM_MS     3000
#define NOTED_MAX      10000
#define LOOKUP_MAX     500
#define PAGE           1000
#define NAMED_MAX      10 /* within WINDOW_MS */
#define WINDOW_MS      60000
#define COUNT_EVERY_MS 10000

#define ADVICE "a restore or a request writes it back; set PERDURA_ON_DELETE=trash to have deletes applied to the store"

struct deleted {
    struct watch_folder *folder;
    enum watch_keep what;
    char *path; /* owned */
    int64_t at_ms;
};

struct kept_files {
    struct lock lock;
    int len, room;
    struct deleted *list; /* in the order of at_ms */
    int64_t window_ms;    /* when it began */
    int named;            /* in this window */
    int64_t unnamed;      /* since the last count was logged */
    int64_t unknown;      /* likewise: there was no room to note them, so they may not be stored */
    int64_t count_next_ms;
};

struct kept_files *watch_keep_new(void)
{
    struct kept_files *k = calloc(1, sizeof *k);
    if (k)
        lock_init(&k->lock, LOCK_keep);
    return k;
}

void watch_keep_free(struct kept_files *k)
{
    if (!k)
        return;
    for (int i = 0; i < k->len; i++)
        free(k->list[i].path);
    free(k->list);
    lock_destroy(&k->lock);
    free(k);
}

static int make_room(struct kept_files *k)
{
    if (k->len < k->room)
        return 0;
    int room = k->room ? k->room * 2 : 64;
    struct deleted *list =
        room <= NOTED_MAX * 2 && k->len < NOTED_MAX ? realloc(k->list, (size_t)room * sizeof *list) : NULL;
    if (!list)
        return -ENOMEM;
    k->list = list;
    k->room = room;
    return 0;
}

void watch_keep_note(struct watch_folder *f, const char *path, enum watch_keep what)
{
    struct kept_files *k = f->watch->kept;
    if (!k || safepath_check(path, strlen(path), NULL) < 0)
        return;
    char *copy = strdup(path);
    lock_take(&k->lock);
    if (copy && make_room(k) == 0) {
        k->list[k->len++] = (struct deleted){f, what, copy, clock_monotonic_ms()};
        copy = NULL;
    } else {
        k->unknown++;
    }
    lock_give(&k->lock);
    free(copy);
}

/* Takes those of one folder out that were noted by `until_ms`. Returns how many. */
static int take(struct kept_files *k, int64_t until_ms, struct deleted *ret)
{
    int n = 0;
    lock_take(&k->lock);
    while (n < LOOKUP_MAX && n < k->len && k->list[n].at_ms <= until_ms && k->list[n].folder == k->list[0].folder)
        n++;
    if (n) {
        memcpy(ret, k->list, (size_t)n * sizeof *ret);
        k->len -= n;
        memmove(k->list, k->list + n, (size_t)k->len * sizeof *ret);
    }
    lock_give(&k->lock);
    return n;
}

/* The database could not be asked: later. */
static void put_back(struct kept_files *k, struct deleted *list, int n)
{
    lock_take(&k->lock);
    for (int i = 0; i < n; i++) {
        if (make_room(k) == 0)
            k->list[k->len++] = list[i];
        else
            free(list[i].path);
    }
    lock_give(&k->lock);
}

static int is_gone(const struct watch_folder *f, const char *path)
{
    int fd = safepath_open(f->root, path, O_PATH | O_NOFOLLOW, SAFEPATH_NO_LINKS);
    if (fd >= 0)
        close(fd);
    return fd == -ENOENT || fd == -ENOTDIR;
}

static void tell(struct kept_files *k, const struct deleted *d, int64_t files)
{
    int64_t now_ms = clock_monotonic_ms();
    metric_add(METRIC_kept_deletes, METRIC_none, METRIC_none, files);
    lock_take(&k->lock);
    if (now_ms - k->window_ms >= WINDOW_MS) {
        k->window_ms = now_ms;
        k->named = 0;
    }
    int named = k->named < NAMED_MAX;
    k->named += named;
    k->unnamed += named ? 0 : files;
    lock_give(&k->lock);
    if (named && d->what == WATCH_KEEP_FOLDER)
        log_event(LOG_INFO, "files of a moved folder stay stored", LOG_STR("collection", d->folder->collection->name),
                  LOG_STR("path", d->path), LOG_INT("files", files), LOG_STR("advice", ADVICE));
    else if (named)
        log_event(LOG_INFO, "deleted file stays stored", LOG_STR("collection", d->folder->collection->name),
                  LOG_STR("path", d->path), LOG_STR("advice", ADVICE));
}

static void tell_count(struct kept_files *k, int at_once)
{
    int64_t now_ms = clock_monotonic_ms();
    lock_take(&k->lock);
    int due = at_once || now_ms >= k->count_next_ms;
    int64_t unnamed = due ? k->unnamed : 0, unknown = due ? k->unknown : 0;
    if (unnamed || unknown) {
        k->unnamed = k->unknown = 0;
        k->count_next_ms = now_ms + COUNT_EVERY_MS;
    }
    lock_give(&k->lock);
    if (unnamed || unknown)
        log_event(LOG_INFO, "more deleted files stay stored", LOG_INT("files", unnamed),
                  LOG_INT("not_looked_up", unknown), LOG_STR("advice", ADVICE));
}

/* Sets live[i] for paths that are stored and not in the trash. */
static int look_up(struct watch *w, const char *collection, const char **paths, int n, char *live)
{
    int rows[LOOKUP_MAX];
    struct store_page *page;
    int r = store_lookup(w->store, collection, paths, n, WATCH_LOCK_MS, rows, &page, NULL);
    if (r == -EILSEQ && n > 1) { /* the database's encoding can't hold one of them */
        r = look_up(w, collection, paths, n / 2, live);
        return r < 0 ? r : look_up(w, collection, paths + n / 2, n - n / 2, live + n / 2);
    }
    if (r == -EILSEQ)
        live[0] = 0;
    if (r < 0)
        return r == -EILSEQ ? 0 : r;
    for (int i = 0; i < n; i++) {
        struct image_meta row;
        live[i] = rows[i] >= 0;
        if (rows[i] >= 0)
            store_page_meta(page, rows[i], &row);
        if (rows[i] >= 0 && row.deleted_us)
            live[i] = 0;
    }
    store_page_free(page);
    return 0;
}

/* How many files beneath a folder are stored and not there. */
static int count_beneath(struct watch *w, const struct deleted *d, int64_t *ret)
{
    char prefix[SAFEPATH_MAX + 2];
    struct store_page *page = NULL;
    struct image_meta last;
    int64_t files = 0;
    int r, count;
    snprintf(prefix, sizeof prefix, "%s/", d->path);
    int folder_is_gone = is_gone(d->folder, d->path);
    do {
        struct store_page *before = page; /* `last` lies in it */
        r = store_list_by_path(w->store, d->folder->collection->name, prefix, WATCH_LOCK_MS, before ? &last : NULL,
                               PAGE, &page, NULL);
        store_page_free(before);
        if (r < 0)
            break;
        count = store_page_count(page);
        for (int i = 0; i < count; i++) {
            store_page_meta(page, i, &last);
            files += folder_is_gone || is_gone(d->folder, last.key.path);
        }
    } while (count == PAGE && !atomic_load(&w->stopping));
    if (r == 0)
        store_page_free(page);
    if (r < 0 && r != DB_BAD_ENCODING)
        return r;
    *ret = files;
    return 0;
}

/* Whether a folder note covers this path. */
static int covers(const struct deleted *folder, const char *path)
{
    size_t n = strlen(folder->path);
    return strncmp(folder->path, path, n) == 0 && path[n] == '/';
}

/* A file may be deleted, written and deleted again: that is one. One that lies in a folder that was moved away is
 * counted with that. */
static int is_last(const struct deleted *list, int n, int i)
{
    for (int k = i + 1; k < n; k++)
        if (list[k].what == list[i].what && strcmp(list[k].path, list[i].path) == 0)
            return 0;
    for (int k = 0; k < n; k++)
        if (list[k].what == WATCH_KEEP_FOLDER && covers(&list[k], list[i].path))
            return 0;
    return 1;
}

/* Files of one collection that are gone. */
static int settle_files(struct watch *w, const struct deleted *list, int n)
{
    const char *paths[LOOKUP_MAX];
    char live[LOOKUP_MAX];
    for (int i = 0; i < n; i++)
        paths[i] = list[i].path;
    int r = n ? look_up(w, list[0].folder->collection->name, paths, n, live) : 0;
    for (int i = 0; i < n && r == 0; i++)
        if (live[i])
            tell(w->kept, &list[i], 1);
    return r;
}

static int settle_folder(struct watch *w, const struct deleted *d)
{
    int64_t files = 0;
    int r = count_beneath(w, d, &files);
    if (r == 0 && files)
        tell(w->kept, d, files);
    return r;
}

static void free_paths(struct deleted *list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i].path);
}

static int settle(struct watch *w, struct deleted *list, int n)
{
    struct deleted files[LOOKUP_MAX], folders[LOOKUP_MAX];
    int files_len = 0, folders_len = 0, i;
    char needed[LOOKUP_MAX];
    for (i = 0; i < n; i++)
        needed[i] =
            (char)(is_last(list, n, i) && (list[i].what == WATCH_KEEP_FOLDER || is_gone(list[i].folder, list[i].path)));
    for (i = 0; i < n; i++) {
        if (!needed[i])
            free(list[i].path);
        else if (list[i].what == WATCH_KEEP_FOLDER)
            folders[folders_len++] = list[i];
        else
            files[files_len++] = list[i];
    }
    int r = settle_files(w, files, files_len);
    if (r < 0)
        put_back(w->kept, files, files_len);
    else
        free_paths(files, files_len);
    int settled = 0;
    while (r == 0 && settled < folders_len && (r = settle_folder(w, &folders[settled])) == 0)
        free(folders[settled++].path);
    if (r < 0)
        put_back(w->kept, folders + settled, folders_len - settled);
    return r;
}

void watch_keep_settle(struct watch *w, int at_once)
{
    struct deleted list[LOOKUP_MAX];
    int n, r = 0;
    if (!w->kept)
        return;
    int64_t until_ms = clock_monotonic_ms() - (at_once ? 0 : CONFIRM_MS);
    while (r == 0 && (n = take(w->kept, until_ms, list)) > 0)
        r = settle(w, list, n);
    tell_count(w->kept, at_once);
}
