/* PERDURA_ON_DELETE=trash. A wiped disk is not a deletion, so a file that vanished is put into the trash only when
 *  1. it was told by an event of its own, and is still not there some seconds later;
 *  2. its folder is there, is the one that was watched, holds something, and could be listed to its end;
 *  3. no more than a handful went within a minute.
 * Whatever breaks 2 or 3 ends it for good: nothing is trashed until the program is started anew. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "client/db.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "store/folders.h"
#include "watch/watch_internal.h"

#define CONFIRM_MS  3000
#define MAX_DELETES 5
#define WINDOW_MS   60000
#define NOTED_MAX   1000 /* files whose rows nobody has asked for yet */
#define LOOKUP_MAX  200

struct one {
    struct watch_folder *folder;
    char *path;
    int64_t at_ms;
};

struct vanished {
    int count; /* under watch.lock, as is the list; only the scan thread takes from it */
    int too_many;
    struct one list[NOTED_MAX];
    int64_t trashed_ms[MAX_DELETES]; /* a ring: when the last ones were */
    int trashed;
};

struct vanished *watch_vanish_new(void)
{
    return calloc(1, sizeof(struct vanished));
}

void watch_vanish_free(struct vanished *v)
{
    if (!v)
        return;
    for (int i = 0; i < v->count; i++)
        free(v->list[i].path);
    free(v);
}

void watch_vanish_note(struct watch_folder *f, const char *path)
{
    struct watch *w = f->watch;
    struct vanished *v = w->vanished;
    if (!v)
        return;
    lock_take(&w->lock);
    char *copy = v->count < NOTED_MAX && !w->deletes_stopped ? strdup(path) : NULL;
    if (copy)
        v->list[v->count++] = (struct one){f, copy, clock_monotonic_ms()};
    else
        v->too_many = 1;
    lock_give(&w->lock);
}

static void forget_first(struct watch *w, int n)
{
    struct vanished *v = w->vanished;
    lock_take(&w->lock);
    for (int i = 0; i < n; i++)
        free(v->list[i].path);
    v->count -= n;
    memmove(v->list, v->list + n, (size_t)v->count * sizeof v->list[0]);
    lock_give(&w->lock);
}

static void stop_deletes(struct watch *w, const char *why)
{
    lock_take(&w->lock);
    w->deletes_stopped = 1;
    int n = w->vanished->count;
    lock_give(&w->lock);
    forget_first(w, n);
    log_event(LOG_ERROR, "deletes stopped", LOG_STR("error", why),
              LOG_STR("advice", "nothing was put into the trash for it, and nothing will be until Perdura is started "
                                "anew; `perdura restore --all` puts missing files back, `perdura rm` deletes"));
}

static int holds_something(int root)
{
    int fd = safepath_open(root, ".", O_RDONLY | O_DIRECTORY, SAFEPATH_NO_LINKS);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int yes = 0;
    if (!dir && fd >= 0)
        close(fd);
    for (struct dirent *d; dir && !yes && (d = readdir(dir));)
        yes =
            strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && strcmp(d->d_name, SAFEPATH_OWN_FOLDER) != 0;
    if (dir)
        closedir(dir);
    return yes;
}

/* Why nothing that vanished from this folder may be believed; NULL when it may. */
static const char *doubt(struct watch_folder *f)
{
    lock_take(&f->watch->lock);
    int gone = f->gone, failed = f->listing_failed;
    lock_give(&f->watch->lock);
    if (gone || store_folder_in_place(f->watch->store, f->collection->name, NULL) < 0)
        return "the folder itself is gone";
    if (failed)
        return "the folder could not be listed to its end";
    return holds_something(f->root) ? NULL : "the folder is empty";
}

static int still_gone(const struct one *o)
{
    int fd = safepath_open(o->folder->root, o->path, O_PATH | O_NOFOLLOW, SAFEPATH_NO_LINKS);
    if (fd >= 0)
        close(fd);
    return fd == -ENOENT || fd == -ENOTDIR;
}

/* Sets is_live[i] for files that are gone and whose rows are not in the trash. A number of them, or -errno. */
static int find_live(struct watch *w, const struct one *list, int n, char *is_live)
{
    int live = 0;
    for (int i = 0; i < n; i++) {
        struct store_page *page;
        struct image_meta row;
        struct image_key key = {list[i].folder->collection->name, list[i].path};
        is_live[i] = 0;
        if (!still_gone(&list[i]) || safepath_check(key.path, strlen(key.path), NULL) < 0)
            continue;
        int r = store_info(w->store, &key, &page, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r < 0)
            continue;
        store_page_meta(page, 0, &row);
        is_live[i] = !row.deleted_us;
        store_page_free(page);
        live += is_live[i];
        if (live > MAX_DELETES)
            return live;
    }
    return live;
}

static int trashed_lately(const struct vanished *v)
{
    int n = 0;
    int64_t now_ms = clock_monotonic_ms();
    for (int i = 0; i < MAX_DELETES && i < v->trashed; i++)
        n += now_ms - v->trashed_ms[i] < WINDOW_MS;
    return n;
}

static void trash(struct watch *w, const struct one *o)
{
    struct vanished *v = w->vanished;
    struct image_key key = {o->folder->collection->name, o->path};
    struct error why;
    if (!still_gone(o))
        return;
    int r = store_delete(w->store, &key, STORE_DELETE_SAFE, &why);
    if (r == 0) {
        v->trashed_ms[v->trashed++ % MAX_DELETES] = clock_monotonic_ms();
        log_event(LOG_INFO, "deleted file trashed", LOG_STR("collection", key.collection), LOG_STR("path", key.path));
    } else if (r != -ENOENT) {
        log_event(LOG_WARN, "deleted file not trashed", LOG_STR("collection", key.collection),
                  LOG_STR("path", key.path), LOG_STR("error", why.text));
    }
}

/* The first n of the list have waited long enough. */
static void settle(struct watch *w, const struct one *list, int n)
{
    char is_live[NOTED_MAX];
    const char *why = NULL;
    int live = find_live(w, list, n, is_live);
    if (live < 0)
        return; /* the database could not be asked: next time */
    for (int i = 0; i < n && live && !why; i++)
        why = doubt(list[i].folder);
    if (!why && live + trashed_lately(w->vanished) > MAX_DELETES)
        why = "too many files vanished at once";
    if (why && live) {
        stop_deletes(w, why);
        return;
    }
    for (int i = 0; i < n; i++)
        if (is_live[i])
            trash(w, &list[i]);
    forget_first(w, n);
}

void watch_vanish_settle(struct watch *w)
{
    struct vanished *v = w->vanished;
    if (!v)
        return;
    lock_take(&w->lock);
    int n = v->count, stopped = w->deletes_stopped, too_many = v->too_many;
    int due = n && clock_monotonic_ms() - v->list[n - 1].at_ms >= CONFIRM_MS; /* also when the last one is old enough */
    struct one *list = n ? calloc((size_t)n, sizeof *list) : NULL;
    if (list) /* the paths stay where they are until we forget them */
        memcpy(list, v->list, (size_t)n * sizeof *list);
    lock_give(&w->lock);
    if (!stopped && too_many)
        stop_deletes(w, "too many files vanished at once");
    else if (!stopped && due && list)
        settle(w, list, n);
    free(list);
}
