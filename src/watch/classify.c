#include "watch/classify.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "codec/sniff.h"
#include "config/config.h"
#include "fs/readfile.h"

#define HEAD_BYTES 4096

/* A file that neither is an image nor is called one is none of our business. Returns 1 for those. */
static int is_no_image(const struct readfile *file, const char *path)
{
    unsigned char head[HEAD_BYTES];
    size_t n;
    if (sniff_claimed(path) != SNIFF_NONE || readfile_head(file, head, sizeof head, &n, NULL) < 0)
        return 0;
    return sniff(head, n).kind == SNIFF_NONE;
}

static int describe_large(void *arg, int fd, const struct stat *st, struct error *e)
{
    return image_describe_file(arg, fd, st->st_size, e);
}

static int read_small(struct store *store, const struct readfile *file, struct buf *bytes, struct image_meta *meta,
                      struct stat *st, int *ret_fresh, struct error *e)
{
    size_t max = (size_t)store_inline_max(store);
    int r = ret_fresh ? readfile_at_once(file, max, bytes, st, ret_fresh, e) : readfile_all(file, max, bytes, st, e);
    return r < 0 ? r : image_describe(meta, bytes->data, bytes->len, e);
}

/* Reads and describes the file. 0, 1 when it is not kept, or -errno; -ENOENT: it is gone. */
static int read_file(struct store *store, const struct classify_file *f, struct buf *bytes, struct image_meta *meta,
                     int *ret_fresh, struct error *e)
{
    struct readfile file;
    struct stat st;
    int r = readfile_open(&file, f->root, f->key.path, f->links, e);
    if (r < 0)
        return r;
    buf_reset(bytes);
    *meta = (struct image_meta){.key = f->key};
    if (is_no_image(&file, f->key.path)) {
        readfile_close(&file);
        return 1;
    }
    int large = store_place(store, file.st.st_size, e);
    r = large < 0    ? large
        : large == 0 ? read_small(store, &file, bytes, meta, &st, ret_fresh, e)
                     : readfile_visit(&file, describe_large, meta, &st, ret_fresh, e);
    readfile_close(&file);
    if (r == -EFBIG && large == 0) { /* it grew beyond the limit: same advice, or another place the next time */
        large = store_place(store, st.st_size, e);
        return large < 0 ? large : error_set(e, -EBUSY, "is still being written; the next run takes it");
    }
    if (r == 0)
        meta->mtime_ns = clock_ns(st.st_mtim);
    return r;
}

int classify_upload(const struct ingest *g, const struct classify_file *f, struct image_meta *meta,
                    char url[IMAGE_URL_SIZE], const atomic_int *cancel, struct error *e)
{
    struct readfile file;
    if (meta->size <= store_inline_max(g->store))
        return 0;
    int r = readfile_open(&file, f->root, f->key.path, f->links, e);
    if (r < 0)
        return r;
    if (file.st.st_size == meta->size && clock_ns(file.st.st_mtim) == meta->mtime_ns)
        r = ingest_upload(g, meta, file.fd, &file.st, url, cancel, e);
    else
        r = error_set(e, -ESTALE, "changed before its upload");
    readfile_close(&file);
    return r == -ESTALE ? error_set(e, -EBUSY, "is still being written; the next run takes it") : r;
}

/* Whether what is stored wins over the file. */
static int store_wins(struct store *store, const struct classify_row *row, const struct image_meta *meta)
{
    enum config_conflict conflict = store_config(store)->conflict;
    if (!row->base.id || row->in_trash || conflict == CONFIG_CONFLICT_DISK)
        return 0;
    return conflict == CONFIG_CONFLICT_STORE || meta->mtime_ns < row->mtime_ns;
}

static enum classify say_store_wins(struct store *store, struct error *e)
{
    int by_age = store_config(store)->conflict == CONFIG_CONFLICT_NEWEST;
    error_set(e, 0,
              "%s what is stored, which stays; `perdura restore%s` puts it on disk, PERDURA_CONFLICT=disk takes the "
              "file instead",
              by_age ? "is older than" : "differs from", by_age ? "" : " --force");
    return CLASSIFY_STORE_WINS;
}

enum classify classify(struct store *store, const struct classify_file *file, struct buf *bytes,
                       struct image_meta *meta, int *ret_fresh, struct error *e)
{
    const struct classify_row *row = &file->row;
    int r = read_file(store, file, bytes, meta, ret_fresh, e);
    if (r != 0)
        return r == -ENOENT ? CLASSIFY_GONE : r < 0 ? CLASSIFY_FAIL : CLASSIFY_NOT_KEPT;
    if (row->base.id && memcmp(row->sha256, meta->sha256, sizeof row->sha256) == 0) {
        if (meta->mtime_ns != row->mtime_ns)
            return CLASSIFY_TOUCH;
        return row->in_trash ? CLASSIFY_IN_TRASH : CLASSIFY_UNCHANGED;
    }
    return store_wins(store, row, meta) ? say_store_wins(store, e) : CLASSIFY_WRITE;
}

void classify_row(struct classify_row *ret, const struct image_meta *row)
{
    *ret = (struct classify_row){0};
    if (!row)
        return;
    ret->base = ingest_base(row);
    ret->mtime_ns = row->mtime_ns;
    ret->in_trash = row->deleted_us != 0;
    memcpy(ret->sha256, row->sha256, sizeof ret->sha256);
}

int classify_unchanged(const struct stat *st, const struct image_meta *row)
{
    return row && row->size == st->st_size && row->mtime_ns == clock_ns(st->st_mtim);
}

int classify_entry(const struct walk_entry *entry, struct error *e)
{
    switch (entry->kind) {
    case WALK_FILE:
    case WALK_LINKED_FILE:
        return 1;
    case WALK_UNREADABLE:
        return error_set(e, entry->error.code, "%s", entry->error.text);
    case WALK_SPECIAL:
        return error_set(e, -ENXIO, "is a %s, not a file",
                         S_ISFIFO(entry->st.st_mode)   ? "FIFO"
                         : S_ISSOCK(entry->st.st_mode) ? "socket"
                                                       : "device");
    case WALK_LINKED_DIR: /* what it leads to is taken where it lies */
    case WALK_FOLDER:
        break;
    }
    return 0;
}
