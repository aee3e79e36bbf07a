#include "store/ingest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_object.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"

_Static_assert(INGEST_BATCH_IMAGES == TIER_DB_BATCH_IMAGES, "a batch of the writer");

struct ingest_base ingest_base(const struct image_meta *row)
{
    return row ? (struct ingest_base){row->id, row->updated_us} : (struct ingest_base){0};
}

static enum tier_disk_kind disk_kind(const struct ingest *g)
{
    return g->kind == INGEST_FILE ? TIER_DISK_TAKING : TIER_DISK_REPLACING;
}

void ingest_begin(struct ingest *g, struct store *store, enum ingest_kind kind, const struct image_key *key,
                  const struct ingest_base *base)
{
    assert(g->phase == INGEST_IDLE);
    *g = (struct ingest){.phase = INGEST_OPEN, .kind = kind, .store = store, .key = *key};
    g->base = base ? *base : (struct ingest_base){0, TIER_DB_SEEN_ANY};
    tier_disk_begin(store->disk, &g->key, disk_kind(g));
}

void ingest_end(struct ingest *g)
{
    assert(g->phase == INGEST_OPEN || g->phase == INGEST_DONE);
    tier_disk_end(g->store->disk, &g->key, disk_kind(g));
    g->phase = INGEST_IDLE;
}

int ingest_is_under_way(struct store *store, const struct image_key *key)
{
    return tier_disk_is_under_way(store->disk, key, TIER_DISK_TAKING) ||
           tier_disk_is_under_way(store->disk, key, TIER_DISK_REPLACING);
}

int ingest_is_current(const struct ingest *g, const struct image_meta *meta)
{
    assert(g->phase == INGEST_OPEN && g->kind == INGEST_FILE);
    return !tier_disk_is_under_way(g->store->disk, &g->key, TIER_DISK_REPLACING) &&
           store_file_matches(g->store, meta) == 1;
}

int ingest_upload(const struct ingest *g, struct image_meta *meta, int fd, const struct stat *since,
                  char url[IMAGE_URL_SIZE], const atomic_int *cancel, struct error *e)
{
    assert(g->phase == INGEST_OPEN);
    return store_upload(g->store, meta, fd, since, url, cancel, e);
}

/* Content from elsewhere */

/* The file that is there although its copy could not be written is not to be served, and nobody waits for the feed to
 * say so. */
static void write_file(struct store *store, const struct image *image, struct error *ret_disk)
{
    if (tier_disk_write(store->disk, image, ret_disk) < 0)
        (void)!store_changed(store, &image->meta, STORE_CHANGE_FILE);
}

void ingest_copy_up(struct ingest *g, const struct image *image, struct error *ret_disk)
{
    assert(g->phase == INGEST_OPEN && g->kind == INGEST_CONTENT);
    write_file(g->store, image, ret_disk);
    (void)store_forget_image(g->store, &image->meta.key, &image->meta);
}

int ingest_commit(struct ingest *g, const struct image *image, struct error *ret_disk, struct error *e)
{
    assert(g->phase == INGEST_OPEN && g->kind == INGEST_CONTENT);
    int r = tier_db_write(g->store->db, image, e);
    if (r == 0)
        ingest_copy_up(g, image, ret_disk);
    return r;
}

int ingest_trash(struct ingest *g, struct error *e)
{
    assert(g->phase == INGEST_OPEN && g->kind == INGEST_CONTENT);
    return tier_db_trash(g->store->db, &g->key, e);
}

void ingest_file_changed(struct ingest *g)
{
    assert(g->phase == INGEST_OPEN && g->kind == INGEST_CONTENT);
    tier_disk_changed(g->store->disk, &g->key);
}

/* Writer */

struct ingest_writer {
    struct tier_db_writer *rows;
    ingest_done_fn *done;
    void *arg;
};

static void settle(void *arg, void *tag, const struct error *outcome)
{
    struct ingest_writer *w = arg;
    struct ingest *g = tag;
    g->phase = INGEST_DONE;
    if (outcome->code == 0) {
        struct image_meta row = {.key = g->key, .size = g->size};
        memcpy(row.sha256, g->sha256, sizeof row.sha256);
        store_committed(g->store, &row);
    }
    w->done(w->arg, g, outcome);
}

int ingest_writer_open(struct store *store, const struct ingest_patience *patience, ingest_done_fn *done, void *arg,
                       struct ingest_writer **ret, struct error *e)
{
    const struct tier_db_patience limits = {patience->connection_ms, patience->lock_ms, patience->statement_ms,
                                            patience->split_ms};
    struct ingest_writer *w = malloc(sizeof *w);
    if (!w)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    *w = (struct ingest_writer){.done = done, .arg = arg};
    int r = tier_db_writer_open(store->db, &limits, settle, w, &w->rows, e);
    if (r < 0)
        free(w);
    else
        *ret = w;
    return r;
}

static void queue(struct ingest *g, const struct image_meta *meta)
{
    assert(g->phase == INGEST_OPEN && g->kind == INGEST_FILE);
    g->phase = INGEST_QUEUED;
    g->size = meta->size;
    memcpy(g->sha256, meta->sha256, sizeof g->sha256);
}

void ingest_put(struct ingest_writer *w, struct ingest *g, const struct image_meta *meta, const void *bytes)
{
    queue(g, meta);
    tier_db_writer_add(w->rows, meta, bytes, g->base.updated_us, g);
}

void ingest_touch(struct ingest_writer *w, struct ingest *g, const struct image_meta *meta)
{
    queue(g, meta);
    tier_db_writer_touch(w->rows, g->base.id, meta->mtime_ns, g->base.updated_us, g);
}

void ingest_writer_close(struct ingest_writer *w)
{
    if (!w)
        return;
    tier_db_writer_close(w->rows);
    free(w);
}

/* Copies */

uint64_t ingest_mark(struct store *store)
{
    return tier_disk_epoch(store->disk);
}

const struct atomicfile_gate *ingest_copy_gate(struct store *store, const char *collection)
{
    return tier_disk_copies(store->disk, collection);
}

int64_t ingest_copy_atime_ns(const struct image_meta *meta)
{
    return tier_disk_atime_ns(meta);
}
