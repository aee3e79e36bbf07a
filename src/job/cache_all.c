/* One thread walks and compares sizes and times with the rows; the others read what is left, hash it and send it, each
 * over a connection of its own. What goes to object storage has threads that need one only for a moment. */
#include "job/cache_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/workers.h"
#include "client/db_fault.h"
#include "fs/staging.h"
#include "store/folders.h"
#include "store/ingest.h"
#include "watch/classify.h"
#include "watch/folder_diff.h"

#define READS       10
#define QUEUE_FILES 1024

#define UPLOADS 8

static const char *const counters[] = {
    [CACHE_ALL_CACHED] = "cached",
    [CACHE_ALL_UNCHANGED] = "unchanged",
    [CACHE_ALL_IN_TRASH] = "in_trash",
    [CACHE_ALL_OLDER] = "older",
    [CACHE_ALL_IGNORED] = "ignored",
    [CACHE_ALL_FAILED] = "failed",
    NULL,
};

/* Longer than the server takes to find a deadlock, which is tried again at once. */
static const struct ingest_patience patience = {
    .connection_ms = JOB_PATIENCE_MS, .lock_ms = 3000, .statement_ms = 20000, .split_ms = 10000};

/* A file to be read, and what is stored under its path. */
struct cache_all_item {
    struct ingest write;       /* first: its outcome names the item */
    struct classify_file file; /* its path stands in `name` */
    int same;                  /* once read: stored already, only its time is to be written */
    char name[];
};

struct cache_all {
    struct job *job;
    const struct cache_all_options *options;
    struct workers *workers;
    struct workers *uploads; /* for files that are too large for a row; NULL: they are refused */
    const char *collection;  /* the one being walked */
    int root;
    struct error closed; /* of a folder that could not be opened; code 0: there was none */
};

void cache_all_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "cache-all", store, counters, problem, arg);
}

static void finish_item(struct job *job, struct cache_all_item *item)
{
    ingest_end(&item->write);
    atomic_fetch_add(&job->done, 1);
    free(item);
}

/* The row was not the base any more. 0 when it has the same content: by another, or by ourselves before a connection
 * was lost. When it is the base after all, nobody has changed it: *why says so. */
static int judge_stale(struct job *job, const struct cache_all_item *item, struct error *why)
{
    const struct ingest_base *base = &item->file.row.base;
    struct store_page *page = NULL;
    struct image_meta row;
    int64_t deadline_ms = 0;
    int r;
    do
        r = store_info(job->store, &item->file.key, &page, NULL);
    while (job_ask_again(job, r, &deadline_ms));
    if (r < 0 && r != -ENOENT)
        return why->code;
    if (r == 0)
        store_page_meta(page, 0, &row);
    struct ingest_base now = ingest_base(r == 0 ? &row : NULL);
    if (r == 0 && !row.deleted_us && memcmp(row.sha256, item->write.sha256, sizeof row.sha256) == 0)
        why->code = 0;
    else if (now.id == base->id && now.updated_us == base->updated_us)
        (void)db_fault_skipped(why);
    store_page_free(page);
    return why->code;
}

/* The outcome of a write. */
static void written(void *arg, struct ingest *write, const struct error *outcome)
{
    struct job *job = arg;
    struct cache_all_item *item = (struct cache_all_item *)(void *)write;
    struct error stale;
    if (outcome->code == -ESTALE) {
        stale = *outcome;
        outcome = &stale;
        if (judge_stale(job, item, &stale) == 0)
            (void)store_forget(job->store, &item->file.key);
    }
    if (outcome->code == 0 && item->same)
        job_moved(job, CACHE_ALL_UNCHANGED, 0);
    else if (outcome->code == 0)
        job_moved(job, CACHE_ALL_CACHED, item->write.size);
    else if (db_fault_state(outcome->code) != DB_STATE_UP)
        job_fail(job, outcome);
    else
        job_problem(job, CACHE_ALL_FAILED, &item->file.key, outcome);
    finish_item(job, item);
}

/* Again when somebody else is writing it. Where no row was, none that came meanwhile is replaced; where one was, it may
 * be that of an upload whose file is about to come. */
static enum classify read_item(struct job *job, const struct cache_all_item *item, struct buf *bytes,
                               struct image_meta *meta, struct error *why)
{
    for (int tries = 0; tries < READS; tries++) {
        enum classify verdict = classify(job->store, &item->file, bytes, meta, NULL, why);
        if ((verdict != CLASSIFY_WRITE && verdict != CLASSIFY_TOUCH) || job->dry_run || !item->file.row.base.id ||
            ingest_is_current(&item->write, meta))
            return verdict;
    }
    error_set(why, -EBUSY, "is being written; run cache-all again");
    return CLASSIFY_FAIL;
}

/* Without the database no other could be stored either; without object storage small ones can. */
static void give_up(struct job *job, struct cache_all_item *item, const struct error *why)
{
    if (db_fault_state(why->code) != DB_STATE_UP)
        job_fail(job, why);
    else if (why->code != -ECANCELED)
        job_problem(job, CACHE_ALL_FAILED, &item->file.key, why);
    finish_item(job, item);
}

/* With a connection, and the turn for it. */
static int ready_writer(struct job *job, struct ingest_writer **writer, struct error *e)
{
    int r = *writer ? 0 : job_acquire(job, e);
    if (r < 0 || *writer)
        return r;
    r = ingest_writer_open(job->store, &patience, written, job, writer, e);
    if (r < 0)
        job_yield(job);
    return r;
}

static void end_writer(struct job *job, struct ingest_writer **writer)
{
    if (!*writer)
        return;
    ingest_writer_close(*writer);
    *writer = NULL;
    job_yield(job);
}

static void cache_item(struct cache_all *c, struct ingest_writer **writer, struct cache_all_item *item,
                       struct buf *bytes)
{
    static const enum cache_all_counter counted_as[] = {
        [CLASSIFY_UNCHANGED] = CACHE_ALL_UNCHANGED, [CLASSIFY_IN_TRASH] = CACHE_ALL_IN_TRASH,
        [CLASSIFY_TOUCH] = CACHE_ALL_UNCHANGED,     [CLASSIFY_NOT_KEPT] = CACHE_ALL_IGNORED,
        [CLASSIFY_GONE] = CACHE_ALL_IGNORED,
    };
    char url[IMAGE_URL_SIZE];
    struct job *job = c->job;
    struct image_meta meta;
    struct error why = {0};
    ingest_begin(&item->write, job->store, INGEST_FILE, &item->file.key, &item->file.row.base);
    enum classify verdict = read_item(job, item, bytes, &meta, &why);

    if (verdict == CLASSIFY_FAIL) {
        job_problem(job, CACHE_ALL_FAILED, &item->file.key, &why);
    } else if (verdict == CLASSIFY_STORE_WINS) {
        job_differs(job, CACHE_ALL_OLDER, &item->file.key, &why);
    } else if (job->dry_run && verdict == CLASSIFY_WRITE) {
        job_moved(job, CACHE_ALL_CACHED, meta.size);
    } else if (job->dry_run || (verdict != CLASSIFY_TOUCH && verdict != CLASSIFY_WRITE)) {
        job_count(job, counted_as[verdict], 1);
    } else {
        item->same = verdict == CLASSIFY_TOUCH;
        if ((!item->same && classify_upload(&item->write, &item->file, &meta, url, &job->stopped, &why) < 0) ||
            ready_writer(job, writer, &why) < 0) {
            give_up(job, item, &why);
            return;
        }
        if (item->same)
            ingest_touch(*writer, &item->write, &meta);
        else
            ingest_put(*writer, &item->write, &meta, meta.url ? NULL : bytes->data);
        return;
    }
    finish_item(job, item);
}

/* *count: how many it was since another one waited for his turn. */
static struct cache_all_item *next_item(struct job *job, struct workers *w, struct ingest_writer **writer, int *count)
{
    int ends = ++*count >= INGEST_BATCH_IMAGES && job_contended(job);
    struct cache_all_item *item = ends ? NULL : workers_take_now(w);
    if (item)
        return item;
    *count = 0;
    end_writer(job, writer);
    return workers_take(w);
}

static void cache_all_take(void *arg, struct workers *w)
{
    struct cache_all *c = arg;
    struct ingest_writer *writer = NULL;
    struct error why = {0};
    struct cache_all_item *item;
    struct buf bytes;
    int count = 0;
    buf_init(&bytes, (size_t)store_inline_max(c->job->store) + 1);
    if (!c->job->dry_run && ready_writer(c->job, &writer, &why) < 0) /* told though there be nothing to store */
        job_fail(c->job, &why);
    while (!job_stopped(c->job) && (item = next_item(c->job, w, &writer, &count)))
        cache_item(c, &writer, item, &bytes);
    end_writer(c->job, &writer);
    if (job_stopped(c->job))
        workers_stop(w);
    buf_release(&bytes);
}

static void cache_all_upload(void *arg, struct workers *w)
{
    struct cache_all *c = arg;
    struct cache_all_item *item;
    struct buf bytes;
    buf_init(&bytes, (size_t)store_inline_max(c->job->store) + 1);
    while (!job_stopped(c->job) && (item = workers_take(w))) {
        struct ingest_writer *writer = NULL; /* a connection for the commit alone */
        cache_item(c, &writer, item, &bytes);
        end_writer(c->job, &writer);
    }
    if (job_stopped(c->job))
        workers_stop(w);
    buf_release(&bytes);
}

static struct cache_all_item *item_new(const struct cache_all *c, const struct walk_entry *entry,
                                       const struct image_meta *row)
{
    struct cache_all_item *item = calloc(1, sizeof *item + entry->path_len + 1);
    if (!item)
        return NULL;
    memcpy(item->name, entry->path, entry->path_len);
    item->file.key = (struct image_key){c->collection, item->name};
    item->file.root = c->root;
    item->file.links = entry->kind == WALK_LINKED_FILE ? SAFEPATH_BENEATH : SAFEPATH_NO_LINKS;
    classify_row(&item->file.row, row);
    return item;
}

static int visit(void *arg, const struct walk_entry *entry, const struct image_meta *row)
{
    struct cache_all *c = arg;
    struct image_key key = {c->collection, entry->path};
    struct error why;
    int r = classify_entry(entry, &why);
    if (r < 0)
        job_problem(c->job, CACHE_ALL_FAILED, &key, &why);
    if (r != 1)
        return 0;
    if (!c->options->checksum && classify_unchanged(&entry->st, row)) {
        job_count(c->job, row->deleted_us ? CACHE_ALL_IN_TRASH : CACHE_ALL_UNCHANGED, 1);
        atomic_fetch_add(&c->job->done, 1);
        return 0;
    }
    struct cache_all_item *item = item_new(c, entry, row);
    if (!item)
        return -ENOMEM;
    int large = c->uploads && entry->st.st_size > store_inline_max(c->job->store);
    r = workers_push(large ? c->uploads : c->workers, item);
    if (r < 0)
        free(item);
    return r;
}

static void drop_item(void *arg, void *item)
{
    (void)arg;
    free(item);
}

/* A folder that can't be opened is told at the end, so that the others are taken all the same. */
static int walk_collection(struct cache_all *c, const char *collection, struct error *e)
{
    const struct folder_diff_options options = {.store = c->job->store,
                                                .collection = collection,
                                                .stopped = &c->job->stopped,
                                                .patience_ms = c->job->patience_ms};
    c->collection = collection;
    if (store_folder(c->job->store, collection, STORE_FOLDER_EXISTING, &c->root, &c->closed) < 0)
        return 0;
    if (!c->job->dry_run)
        (void)staging_sweep(c->root);
    return folder_diff(&options, visit, c, e);
}

int cache_all_run(struct job *job, const struct cache_all_options *options)
{
    struct cache_all c = {.job = job, .options = options};
    struct error why = {0};
    int r = workers_start(&c.workers, "cache-all", job_threads(job, 0), QUEUE_FILES, cache_all_take, &c);
    if (r < 0) {
        error_set(&why, r, "no threads: %s", strerror(-r));
        job_fail(job, &why);
        return r;
    }
    if (store_takes_large(job->store))
        r = workers_start(&c.uploads, "cache-uploads", UPLOADS, QUEUE_FILES, cache_all_upload, &c);
    for (size_t i = 0; options->collections[i] && r == 0; i++)
        r = walk_collection(&c, options->collections[i], &why);
    if (r < 0 && r != -EPIPE && r != -ECANCELED) { /* those two: a worker has said why already */
        if (!why.code)
            error_set(&why, r, "out of memory");
        job_fail(job, &why);
    }
    workers_finish(c.workers, drop_item, NULL);
    if (c.uploads)
        workers_finish(c.uploads, drop_item, NULL);
    if (c.closed.code)
        job_fail(job, &c.closed);
    job_record(job);
    return job->failure.code;
}
