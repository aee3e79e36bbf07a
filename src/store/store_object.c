#include "store/store_object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "codec/base64.h"
#include "config/config.h"
#include "fs/fdio.h"
#include "fs/spool.h"
#include "sql.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_object.h"

#define CLAIM_MS       15000 /* how long a removal is waited for */
#define CLAIM_PAUSE_US 200000
#define REMOVE_MOST    100
#define REACH_MS       5000

/* In a row: the storage is the reason. */
#define REMOVE_FAILURES 3

int store_takes_large(const struct store *store)
{
    return tier_object_takes(store->objects);
}

int store_objects_answer(struct store *store, int wait_ms)
{
    return tier_object_check(store->objects, wait_ms, NULL) == 0;
}

int64_t store_transfer_ms(int64_t bytes)
{
    return tier_object_patience_ms(bytes);
}

int store_object_is_ours(const struct store *store, const struct image_meta *meta)
{
    char url[IMAGE_URL_SIZE];
    return meta->url && store_takes_large(store) &&
           strcmp(meta->url, tier_object_url(store->objects, meta->sha256, url)) == 0;
}

int64_t store_inline_max(const struct store *store)
{
    return tier_db_inline_max(store->db);
}

int64_t store_max_bytes(const struct store *store)
{
    return tier_object_takes(store->objects) ? TIER_OBJECT_MAX_BYTES : tier_db_inline_max(store->db);
}

int store_place(struct store *store, int64_t size, struct error *e)
{
    if (!tier_object_takes(store->objects) || size <= tier_db_inline_max(store->db))
        return tier_db_accepts(store->db, size, e);
    if (size > TIER_OBJECT_MAX_BYTES)
        return error_set(e, -EFBIG, "has %lld bytes, and at most %lld are kept", (long long)size,
                         (long long)TIER_OBJECT_MAX_BYTES);
    return 1;
}

/* Putting */

static int claim_once(struct store *store, const char *url, const struct image_meta *meta, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, url);
    db_param_bytes(&params, meta->sha256, sizeof meta->sha256);
    int r = store_query(store, &sql_object_claim, &params, &rows, e);
    if (r < 0)
        return r;
    int claimed = db_rows(rows);
    db_result_free(rows);
    return claimed;
}

static int claim(struct store *store, const char *url, const struct image_meta *meta, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + CLAIM_MS;
    for (;;) {
        int r = claim_once(store, url, meta, e);
        if (r != 0)
            return r < 0 ? r : 0;
        if (!clock_left_ms(deadline_ms))
            return error_set(e, -EAGAIN, "can't be stored while its object is being removed: try again");
        (void)usleep(CLAIM_PAUSE_US);
    }
}

static int upload(struct store *store, struct image_meta *meta, const struct fetch_body *body, char url[IMAGE_URL_SIZE],
                  const atomic_int *cancel, struct error *e)
{
    if (!tier_object_takes(store->objects))
        return tier_db_accepts(store->db, meta->size, e);
    meta->url = tier_object_url(store->objects, meta->sha256, url);
    int r = claim(store, url, meta, e);
    return r < 0 ? r : tier_object_put(store->objects, meta, body, cancel, e);
}

static long read_file(void *arg, int64_t offset, void *dst, size_t n)
{
    const int *fd = arg;
    ssize_t got;
    do
        got = pread(*fd, dst, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

int store_upload(struct store *store, struct image_meta *meta, int fd, const struct stat *since,
                 char url[IMAGE_URL_SIZE], const atomic_int *cancel, struct error *e)
{
    const struct fetch_body body = {.len = meta->size, .read_at = read_file, .arg = &fd};
    struct stat now;
    int r = upload(store, meta, &body, url, cancel, e);
    if (r == 0 && fstat(fd, &now) < 0)
        return error_set(e, -errno, "can't be looked at: %s", strerror(errno));
    if (r == 0 && (now.st_size != since->st_size || clock_ns(now.st_mtim) != clock_ns(since->st_mtim)))
        return error_set(e, -ESTALE, "changed while it was uploaded: store it again");
    return r;
}

static long read_bytes(void *arg, int64_t offset, void *dst, size_t n)
{
    const unsigned char *bytes = arg;
    memcpy(dst, bytes + offset, n);
    return (long)n;
}

int store_upload_bytes(struct store *store, struct image_meta *meta, const void *bytes, char url[IMAGE_URL_SIZE],
                       const atomic_int *cancel, struct error *e)
{
    const struct fetch_body body = {.len = meta->size, .read_at = read_bytes, .arg = (void *)bytes};
    return upload(store, meta, &body, url, cancel, e);
}

/* Reading */

struct writing {
    int fd;             /* -1: what comes is compared only */
    atomic_llong *came; /* NULL: nobody looks */
};

int store_reachable(struct store *store, const struct image_meta *meta, struct error *e)
{
    char base[IMAGE_URL_SIZE];
    if (!tier_object_takes(store->objects))
        return 0;
    tier_object_base(store->objects, base);
    if (strncmp(meta->url, base, strlen(base)) != 0)
        return 0;
    return tier_object_check(store->objects, REACH_MS, e);
}

static int write_file(void *arg, const void *bytes, size_t n)
{
    const struct writing *w = arg;
    if (w->came)
        atomic_fetch_add(w->came, (long long)n);
    return w->fd < 0 ? 0 : fdio_write(w->fd, bytes, n);
}

static int download(struct store *store, const struct image_meta *meta, int fd, atomic_llong *came,
                    const atomic_int *cancel, struct error *e)
{
    struct writing writing = {fd, came};
    const struct fetch_sink sink = {.write = write_file, .arg = &writing};
    return tier_object_read(store->objects, meta, &sink, came ? TIER_OBJECT_WAITED_FOR : TIER_OBJECT_PATIENT, cancel,
                            e);
}

int store_download(struct store *store, const struct image_meta *meta, int fd, const atomic_int *cancel,
                   struct error *e)
{
    return download(store, meta, fd, NULL, cancel, e);
}

/* Gives the temporary its name. That it can't have it is no reason to withhold the image. */
static void publish(struct store *store, struct staging *staging, struct atomicfile *file,
                    const struct image_meta *meta, uint64_t mark)
{
    file->path = meta->key.path;
    file->gate = tier_disk_copies(store->disk, meta->key.collection);
    file->mark = mark;
    (void)!atomicfile_publish(staging, file, 1); /* the file holds its own result */
    metric_add(METRIC_heals, METRIC_none, METRIC_none, file->result == 0);
}

int store_spool(struct store *store, int *ret_fd, struct error *e)
{
    struct staging *staging;
    char name[STAGING_NAME_SIZE];
    int fd = tier_disk_staging(store->disk, store->config->collections[0].name, &staging, NULL);
    if (fd == 0) {
        fd = staging_create(staging, name);
        if (fd >= 0)
            (void)unlinkat(staging_folder(staging), name, 0);
    }
    if (fd < 0)
        fd = spool_file(e);
    if (fd >= 0)
        *ret_fd = fd;
    return fd < 0 ? fd : 0;
}

static int fetch_unnamed(struct store *store, const struct image_meta *meta, atomic_llong *came,
                         const atomic_int *cancel, struct image **ret, struct error *e)
{
    int fd;
    int r = store_spool(store, &fd, e);
    if (r < 0)
        return r;
    r = download(store, meta, fd, came, cancel, e);
    struct image *image = r == 0 ? image_new_file(meta, fd) : NULL;
    if (!image) {
        close(fd);
        return r < 0 ? r : error_set_sentence(e, -ENOMEM, "out of memory");
    }
    *ret = image;
    return 0;
}

int store_fetch_unnamed(struct store *store, const struct image_meta *meta, const atomic_int *cancel,
                        struct image **ret, struct error *e)
{
    return fetch_unnamed(store, meta, NULL, cancel, ret, e);
}

int store_fetch_linked(struct store *store, const struct image *linked, uint64_t mark, atomic_llong *came,
                       const atomic_int *cancel, struct image **ret, struct error *e)
{
    const struct image_meta *meta = &linked->meta;
    struct atomicfile file = {.atime_ns = tier_disk_atime_ns(meta)};
    struct staging *staging;
    int r = tier_disk_staging(store->disk, meta->key.collection, &staging, NULL);
    int fd = r < 0 ? r : atomicfile_open(staging, &file, NULL);
    if (fd < 0)
        return fetch_unnamed(store, meta, came, cancel, ret, e); /* no folder, or it can't be written to */
    r = download(store, meta, fd, came, cancel, e);
    int kept = r == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (r == 0 && kept < 0)
        r = error_set_sentence(e, -errno, "no more files can be opened");
    r = atomicfile_close(staging, &file, fd, meta->mtime_ns, r, e);
    struct image *image = r == 0 ? image_new_file(meta, kept) : NULL;
    if (!image) {
        if (kept >= 0)
            close(kept);
        atomicfile_drop(staging, &file);
        return r < 0 ? r : error_set_sentence(e, -ENOMEM, "out of memory");
    }
    publish(store, staging, &file, meta, mark);
    *ret = image;
    return 0;
}

void store_objects_status(struct store *store, int wait_ms, struct store_objects_status *ret)
{
    struct error why;
    *ret = (struct store_objects_status){.configured = tier_object_takes(store->objects)};
    (void)tier_object_where(store->objects, ret->where);
    ret->up = tier_object_check(store->objects, wait_ms, &why) == 0;
    if (!ret->up)
        (void)snprintf(ret->why, sizeof ret->why, "%.255s", why.text);
}

/* Moving */

int store_move(struct store *store, const struct image_meta *meta, const void *bytes, const char *url, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    char *data = bytes ? malloc(base64_encoded_len((size_t)meta->size) + 1) : NULL;
    if (bytes && !data)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    if (data)
        data[base64_encode(data, bytes, (size_t)meta->size)] = '\0';
    db_params_init(&params);
    db_param_int(&params, meta->id);
    db_param_bytes(&params, meta->sha256, sizeof meta->sha256);
    db_param_text(&params, data);
    db_param_text(&params, url);
    int r = store_query(store, &sql_image_move, &params, &rows, e);
    free(data);
    if (r < 0)
        return r;
    r = db_rows(rows) ? 0 : error_set(e, -ESTALE, "was changed meanwhile");
    db_result_free(rows);
    return r;
}

/* Removing */

int store_objects_due(struct store *store, int64_t *ret, struct error *e)
{
    char base[IMAGE_URL_SIZE];
    struct db_result *rows;
    struct db_params params;
    *ret = 0;
    if (!tier_object_takes(store->objects))
        return 0;
    db_params_init(&params);
    db_param_int(&params, STORE_OBJECT_GRACE_S);
    db_param_text(&params, tier_object_base(store->objects, base));
    int r = store_query(store, &sql_object_count, &params, &rows, e);
    if (r < 0)
        return r;
    *ret = db_int(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

static int remove_one(struct store *store, const char *url, struct error *e)
{
    struct db_params params;
    int r = tier_object_remove(store->objects, url, e);
    if (r < 0)
        return r;
    db_params_init(&params);
    db_param_text(&params, url);
    return store_query(store, &sql_object_removed, &params, NULL, e);
}

int store_objects_remove(struct store *store, int *ret, struct error *e)
{
    char base[IMAGE_URL_SIZE];
    struct db_result *rows;
    struct db_params params;
    *ret = 0;
    if (!tier_object_takes(store->objects))
        return 0;
    db_params_init(&params);
    db_param_int(&params, STORE_OBJECT_GRACE_S);
    int r = store_query(store, &sql_object_unneeded, &params, NULL, e);
    if (r < 0)
        return r;
    db_param_int(&params, REMOVE_MOST);
    db_param_text(&params, tier_object_base(store->objects, base));
    r = store_query(store, &sql_object_remove, &params, &rows, e);
    if (r < 0)
        return r;
    for (int i = 0, failed = 0; i < db_rows(rows) && failed < REMOVE_FAILURES;
         i++) { /* one must not hold up the others */
        int one = remove_one(store, db_text(rows, i, 0), r < 0 ? NULL : e);
        *ret += one == 0;
        failed = one < 0 ? failed + 1 : 0;
        r = r < 0 ? r : one;
    }
    db_result_free(rows);
    return r;
}
