/* One thread walks and compares sizes and times with the rows; the others read what is left, hash it and send it, each
 * over a connection of its own. */
#include "job/cache_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/workers.h"
#include "codec/sniff.h"
#include "fs/readfile.h"
#include "fs/staging.h"
#include "job/survey.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"

#define QUEUE_FILES 1024
#define HEAD_BYTES  4096

static const char *const counters[] = {
    [CACHE_ALL_CACHED] = "cached",
    [CACHE_ALL_UNCHANGED] = "unchanged",
    [CACHE_ALL_IN_TRASH] = "in_trash",
    [CACHE_ALL_OLDER] = "older",
    [CACHE_ALL_IGNORED] = "ignored",
    [CACHE_ALL_FAILED] = "failed",
    NULL,
};

/* A file to be read, and what is stored under its path. */
struct item {
    struct image_key key; /* path is owned: it stands in `name` */
    int root;
    enum safepath_links links;
    int64_t row_id; /* 0: nothing is stored */
    int64_t row_mtime_ns;
    int row_in_trash;
    unsigned char row_sha256[DIGEST_SHA256_LEN];
    int64_t size; /* once read */
    int same;     /* once read: stored already, only its time is to be written */
    char name[];
};

struct cache_all {
    struct job *job;
    const struct cache_all_options *options;
    struct workers *workers;
    const char *collection; /* the one being walked */
    int root;
    struct error closed; /* of a folder that could not be opened; code 0: there was none */
};

void cache_all_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "cache-all", store, counters, problem, arg);
}

static void finish_item(struct job *job, struct item *item)
{
    atomic_fetch_add(&job->done, 1);
    free(item);
}

/* The outcome of a write. */
static void written(void *arg, void *tag, const struct error *outcome)
{
    struct job *job = arg;
    struct item *item = tag;
    if (outcome->code == 0 && item->same)
        job_moved(job, CACHE_ALL_UNCHANGED, 0);
    else if (outcome->code == 0)
        job_moved(job, CACHE_ALL_CACHED, item->size);
    else if (db_unavailable(outcome->code) || outcome->code == -ENXIO || outcome->code == -ENOSPC)
        job_fail(job, outcome);
    else
        job_problem(job, CACHE_ALL_FAILED, &item->key, outcome);
    finish_item(job, item);
}

/* A file that neither is an image nor is called one is none of our business. Returns 1 for those. */
static int is_no_image(const struct readfile *file, const char *path)
{
    unsigned char head[HEAD_BYTES];
    size_t n;
    if (sniff_claimed(path) != SNIFF_NONE || readfile_head(file, head, sizeof head, &n, NULL) < 0)
        return 0;
    return sniff(head, n).kind == SNIFF_NONE;
}

/* Reads and describes the file. 0, 1 when it is to be ignored, or -errno. */
static int read_item(struct cache_all *c, struct item *item, struct buf *bytes, struct image_meta *meta,
                     struct error *e)
{
    struct tier_db *db = store_db(c->job->store);
    struct readfile file;
    struct stat st;
    int r = readfile_open(&file, item->root, item->key.path, item->links, e);
    if (r == -ENOENT)
        return 1; /* it went while we walked */
    if (r < 0)
        return r;
    buf_reset(bytes);
    if (is_no_image(&file, item->key.path))
        r = 1;
    else
        r = tier_db_accepts(db, file.st.st_size, e);
    if (r == 0)
        r = readfile_all(&file, (size_t)tier_db_inline_max(db), bytes, &st, e);
    readfile_close(&file);
    if (r == -EFBIG)
        return tier_db_accepts(db, tier_db_inline_max(db) + 1, e); /* it grew beyond the limit: same advice */
    if (r != 0)
        return r;
    *meta = (struct image_meta){.key = item->key, .mtime_ns = clock_ns(st.st_mtim)};
    return image_describe(meta, bytes->data, bytes->len, e);
}

/* Whether what is stored wins over the file. */
static int store_wins(const struct cache_all *c, const struct item *item, const struct image_meta *meta)
{
    enum config_conflict conflict = store_config(c->job->store)->conflict;
    if (!item->row_id || item->row_in_trash || conflict == CONFIG_CONFLICT_DISK)
        return 0;
    return conflict == CONFIG_CONFLICT_STORE || meta->mtime_ns < item->row_mtime_ns;
}

static void cache_item(struct cache_all *c, struct tier_db_writer *writer, struct item *item, struct buf *bytes)
{
    struct job *job = c->job;
    struct image_meta meta;
    struct error why = {0};
    int r = read_item(c, item, bytes, &meta, &why);

    if (r > 0) {
        job_count(job, CACHE_ALL_IGNORED, 1);
    } else if (r < 0) {
        job_problem(job, CACHE_ALL_FAILED, &item->key, &why);
    } else {
        item->size = meta.size;
        item->same = item->row_id && memcmp(item->row_sha256, meta.sha256, sizeof meta.sha256) == 0;
        int same_time = item->same && meta.mtime_ns == item->row_mtime_ns;
        if (same_time) {
            job_count(job, item->row_in_trash ? CACHE_ALL_IN_TRASH : CACHE_ALL_UNCHANGED, 1);
        } else if (!item->same && store_wins(c, item, &meta)) {
            int by_age = store_config(job->store)->conflict == CONFIG_CONFLICT_NEWEST;
            error_set(&why, 0,
                      "%s what is stored, which stays; `perdura restore%s` puts it on disk, "
                      "PERDURA_CONFLICT=disk takes the file instead",
                      by_age ? "is older than" : "differs from", by_age ? "" : " --force");
            job_problem(job, CACHE_ALL_OLDER, &item->key, &why);
        } else if (job->dry_run) {
            job_count(job, item->same ? CACHE_ALL_UNCHANGED : CACHE_ALL_CACHED, 1);
        } else if (item->same) {
            tier_db_writer_touch(writer, item->row_id, meta.mtime_ns, item);
            return;
        } else {
            tier_db_writer_add(writer, &meta, bytes->data, item);
            return;
        }
    }
    finish_item(job, item);
}

static void run(void *arg, struct workers *w)
{
    struct cache_all *c = arg;
    struct tier_db_writer *writer = NULL;
    struct error why = {0};
    struct item *item;
    struct buf bytes;

    buf_init(&bytes, (size_t)tier_db_inline_max(store_db(c->job->store)) + 1);
    if (!c->job->dry_run &&
        tier_db_writer_open(store_db(c->job->store), JOB_PATIENCE_MS, written, c->job, &writer, &why) < 0) {
        job_fail(c->job, &why);
        workers_stop(w);
    } else {
        while (!job_stopped(c->job) && (item = workers_take(w)))
            cache_item(c, writer, item, &bytes);
    }
    tier_db_writer_close(writer);
    if (job_stopped(c->job))
        workers_stop(w);
    buf_release(&bytes);
}

static struct item *item_new(const struct cache_all *c, const struct walk_entry *entry, const struct image_meta *row)
{
    struct item *item = calloc(1, sizeof *item + entry->path_len + 1);
    if (!item)
        return NULL;
    memcpy(item->name, entry->path, entry->path_len);
    item->key = (struct image_key){c->collection, item->name};
    item->root = c->root;
    item->links = entry->kind == WALK_LINKED_FILE ? SAFEPATH_BENEATH : SAFEPATH_NO_LINKS;
    if (row) {
        item->row_id = row->id;
        item->row_mtime_ns = row->mtime_ns;
        item->row_in_trash = row->deleted_us != 0;
        memcpy(item->row_sha256, row->sha256, sizeof item->row_sha256);
    }
    return item;
}

static int unchanged(const struct cache_all *c, const struct walk_entry *entry, const struct image_meta *row)
{
    return row && !c->options->checksum && row->size == entry->st.st_size &&
           row->mtime_ns == clock_ns(entry->st.st_mtim);
}

static int visit(void *arg, const struct walk_entry *entry, const struct image_meta *row)
{
    struct cache_all *c = arg;
    struct image_key key = {c->collection, entry->path};
    struct error why;

    switch (entry->kind) {
    case WALK_LINKED_DIR: /* what it leads to is taken where it lies */
        return 0;
    case WALK_UNREADABLE:
        job_problem(c->job, CACHE_ALL_FAILED, &key, &entry->error);
        return 0;
    case WALK_SPECIAL:
        error_set(&why, -ENXIO, "is a %s, not a file",
                  S_ISFIFO(entry->st.st_mode)   ? "FIFO"
                  : S_ISSOCK(entry->st.st_mode) ? "socket"
                                                : "device");
        job_problem(c->job, CACHE_ALL_FAILED, &key, &why);
        return 0;
    case WALK_FILE:
    case WALK_LINKED_FILE:
        break;
    }
    if (unchanged(c, entry, row)) {
        job_count(c->job, row->deleted_us ? CACHE_ALL_IN_TRASH : CACHE_ALL_UNCHANGED, 1);
        atomic_fetch_add(&c->job->done, 1);
        return 0;
    }
    struct item *item = item_new(c, entry, row);
    if (!item)
        return -ENOMEM;
    int r = workers_push(c->workers, item);
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
    c->collection = collection;
    if (tier_disk_root(store_disk(c->job->store), collection, TIER_DISK_EXISTING, &c->root, &c->closed) < 0)
        return 0;
    if (!c->job->dry_run)
        (void)staging_sweep(c->root);
    return survey(c->job, collection, visit, c, e);
}

int cache_all_run(struct job *job, const struct cache_all_options *options)
{
    struct cache_all c = {.job = job, .options = options};
    struct error why = {0};
    int r = workers_start(&c.workers, job_threads(job, 0), QUEUE_FILES, run, &c);
    if (r < 0) {
        error_set(&why, r, "no threads: %s", strerror(-r));
        job_fail(job, &why);
        return r;
    }
    for (size_t i = 0; options->collections[i] && r == 0; i++)
        r = walk_collection(&c, options->collections[i], &why);
    if (r < 0 && r != -EPIPE && r != -ECANCELED) { /* those two: a worker has said why already */
        if (!why.code)
            error_set(&why, r, "out of memory");
        job_fail(job, &why);
    }
    workers_finish(c.workers, drop_item, NULL);
    if (c.closed.code)
        job_fail(job, &c.closed);
    job_record(job);
    return job->failure.code;
}
