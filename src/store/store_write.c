#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/fdio.h"
#include "fs/safepath.h"
#include "sql.h"
#include "store/ingest.h"
#include "store/store_object.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_object.h"

/* A name that the writer does not give stays as it is. */
static int is_other(const char *given, const char *stored)
{
    return given && (!stored || strcmp(given, stored) != 0);
}

/* Whether the row already holds this content; sets *ret to what the write will have been. The file belongs to the row,
 * so what is stored already keeps the row's modification time. */
static int already_stored(struct store *store, struct image_meta *meta, enum store_written *ret, struct error *e)
{
    struct store_page *page;
    *ret = STORE_CREATED;
    int r = store_info(store, &meta->key, &page, e);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;

    struct image_meta old;
    store_page_meta(page, 0, &old);
    int same = !old.deleted_us && memcmp(old.sha256, meta->sha256, sizeof old.sha256) == 0;
    int same_entity = !is_other(meta->content_type, old.content_type) && !is_other(meta->object_id, old.object_id) &&
                      !is_other(meta->variant, old.variant);
    if (!old.deleted_us)
        *ret = same ? STORE_UNCHANGED : STORE_REPLACED;
    if (same && same_entity)
        meta->mtime_ns = old.mtime_ns;
    store_page_free(page);
    return same && same_entity;
}

/* Whether the durable copy can't be read: a row may be damaged and still name the right sha256. */
static int is_damaged(struct store *store, const struct image_key *key)
{
    struct image *image;
    int r = tier_db_read_one(store->db, key, &image, NULL);
    if (r == 0) {
        r = image_is_linked(image) ? tier_object_look(store->objects, &image->meta, NULL)
                                   : image_verify(&image->meta, image->bytes, (size_t)image->meta.size, NULL);
        image_unref(image);
    }
    return r == -EBADMSG;
}

/* What is to be written: an open file, or else (fd -1) bytes. */
struct content {
    const void *bytes;
    int fd;
};

static int describe(struct store *store, struct image_meta *meta, const struct content *from, struct error *e)
{
    int r = safepath_check(meta->key.path, strlen(meta->key.path), e);
    if (r == 0 && from->fd < 0)
        r = image_describe(meta, from->bytes, (size_t)meta->size, e);
    else if (r == 0)
        r = image_describe_file(meta, from->fd, meta->size, e);
    if (r < 0)
        return r;
    r = from->fd < 0 ? tier_db_accepts(store->db, meta->size, e) : store_place(store, meta->size, e);
    return r < 0 ? r : 0;
}

/* 1: stored already; 0: to be written; or why not. */
static int accept(struct store *store, struct image_meta *meta, const struct content *from, enum store_written *ret,
                  struct error *e)
{
    int r = describe(store, meta, from, e);
    if (r == 0)
        r = already_stored(store, meta, ret, e);
    if (r <= 0 || !is_damaged(store, &meta->key))
        return r;
    *ret = STORE_REPLACED;
    return 0;
}

int store_would_accept(struct store *store, struct image_meta *meta, const void *bytes, enum store_written *ret,
                       struct error *e)
{
    const struct content from = {.bytes = bytes, .fd = -1};
    int r = accept(store, meta, &from, ret, e);
    return r < 0 ? r : 0;
}

int store_would_accept_file(struct store *store, struct image_meta *meta, int fd, enum store_written *ret,
                            struct error *e)
{
    const struct content from = {.fd = fd};
    int r = accept(store, meta, &from, ret, e);
    return r < 0 ? r : 0;
}

static struct image *image_from(const struct image_meta *meta, const struct content *from)
{
    if (from->bytes) {
        struct image *image = image_new(meta);
        if (image)
            memcpy(image->bytes, from->bytes, (size_t)meta->size);
        return image;
    }
    int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
    struct image *image = fd < 0 ? NULL : image_new_file(meta, fd);
    if (!image && fd >= 0)
        close(fd);
    return image;
}

static int write_content(struct store *store, struct image_meta *meta, const struct content *from,
                         enum store_written *ret, struct error *e)
{
    char url[IMAGE_URL_SIZE];
    struct stat since = {0};
    int64_t now_ns = meta->mtime_ns;
    struct ingest write = {0};
    struct error disk = {0};
    if (from->fd >= 0 && fstat(from->fd, &since) < 0)
        return error_set(e, -errno, "can't be looked at: %s", strerror(errno));
    int stored = accept(store, meta, from, ret, e);
    if (stored < 0)
        return stored;
    int matches = stored ? store_file_matches(store, meta) : 0;
    if (matches == 1) {
        *e = disk;
        return 0;
    }
    if (stored && matches == 0) { /* another file came since: the row has to be newer than that */
        meta->mtime_ns = now_ns;
        stored = 0;
    }
    int r = stored || from->fd < 0 || meta->url ? 0 : store_upload(store, meta, from->fd, &since, url, NULL, e);
    if (r < 0)
        return r;
    struct image *image = image_from(meta, from);
    if (!image)
        return error_set_sentence(e, -ENOMEM, "out of memory for %lld bytes", (long long)meta->size);
    ingest_begin(&write, store, INGEST_CONTENT, &meta->key, NULL);
    if (stored)
        ingest_copy_up(&write, image, &disk);
    else
        r = ingest_commit(&write, image, &disk, e);
    ingest_end(&write);
    image_unref(image);
    if (r == 0)
        *e = disk;
    meta->url = NULL;
    return r;
}

int store_write(struct store *store, struct image_meta *meta, const void *bytes, enum store_written *ret,
                struct error *e)
{
    const struct content from = {.bytes = bytes, .fd = -1};
    return write_content(store, meta, &from, ret, e);
}

int store_offer_file(struct store *store, struct image_meta *meta, int fd, char url[IMAGE_URL_SIZE], struct error *e)
{
    const struct content from = {.fd = fd};
    enum store_written written;
    struct stat since;
    if (fstat(fd, &since) < 0)
        return error_set(e, -errno, "can't be looked at: %s", strerror(errno));
    int stored = meta->size > tier_db_inline_max(store->db) ? accept(store, meta, &from, &written, e) : 1;
    return stored == 0 ? store_upload(store, meta, fd, &since, url, NULL, e) : stored < 0 ? stored : 0;
}

/* A small one is read, for it goes into the row. */
static int read_small(const struct image_meta *meta, int fd, void **ret)
{
    char *bytes = malloc((size_t)meta->size + 1);
    if (!bytes)
        return -ENOMEM;
    int r = fdio_read(fd, bytes, (size_t)meta->size, 0);
    if (r < 0)
        free(bytes);
    else
        *ret = bytes;
    return r;
}

int store_write_file(struct store *store, struct image_meta *meta, int fd, enum store_written *ret, struct error *e)
{
    const struct content from = {.fd = fd};
    void *bytes = NULL;
    if (meta->size > tier_db_inline_max(store->db))
        return write_content(store, meta, &from, ret, e);
    int r = read_small(meta, fd, &bytes);
    if (r < 0)
        return error_set(e, r, "can't be read: %s", strerror(-r));
    r = store_write(store, meta, bytes, ret, e);
    free(bytes);
    return r;
}

int store_file_matches(struct store *store, const struct image_meta *meta)
{
    struct stat st;
    int root;
    int r = tier_disk_root(store->disk, meta->key.collection, TIER_DISK_EXISTING, &root, NULL);
    if (r < 0)
        return r;
    int fd = safepath_open(root, meta->key.path, O_PATH, SAFEPATH_BENEATH);
    if (fd < 0)
        return fd;
    r = fstat(fd, &st) < 0 ? -errno : 0;
    close(fd);
    if (r < 0)
        return r;
    if (!S_ISREG(st.st_mode) || st.st_size != meta->size || clock_ns(st.st_mtim) != meta->mtime_ns)
        return 0;
    r = safepath_confirm(root, meta->key.path);
    return r < 0 ? r : 1;
}

/* -ENOENT when it is not stored or in the trash already; -EBUSY when the file holds something that is not stored. */
static int check_deletable(struct store *store, const struct image_key *key, enum store_delete how,
                           struct image_meta *ret_core, struct error *e)
{
    struct store_page *page;
    struct image_meta meta;
    int r = safepath_check(key->path, strlen(key->path), e);
    if (r == 0)
        r = store_info(store, key, &page, e);
    if (r < 0)
        return r;
    store_page_meta(page, 0, &meta);
    int matches = store_file_matches(store, &meta);
    if (meta.deleted_us && matches < 0) /* else its file could not be removed the last time */
        r = error_set(e, -ENOENT, "is in the trash already");
    else if (how == STORE_DELETE_SAFE && matches == 0)
        r = error_set(e, -EBUSY,
                      "was changed on disk since it was stored; run `perdura cache-all` first, or use "
                      "--force to remove both");
    *ret_core = (struct image_meta){.key = *key, .size = meta.size, .mtime_ns = meta.mtime_ns};
    store_page_free(page);
    return r;
}

int store_would_delete(struct store *store, const struct image_key *key, enum store_delete how, struct error *e)
{
    struct image_meta core;
    return check_deletable(store, key, how, &core, e);
}

/* The file, as it was before the row was changed. Where there was none, a restore of another process may have made a
 * copy of the row since; what else was written meanwhile is an upload, and stays. */
static int remove_deleted(struct store *store, const struct image_meta *core, int file, struct stat *seen,
                          struct error *e)
{
    if (file == -ENOENT) {
        file = tier_disk_look(store->disk, &core->key, seen);
        if (file == 0 && (seen->st_size != core->size || clock_ns(seen->st_mtim) != core->mtime_ns))
            return 0;
    }
    int r = file < 0 ? file : tier_disk_remove(store->disk, &core->key, seen, e);
    return r == -ENOENT || r == -ENOTDIR || r == -EEXIST ? 0 : r;
}

/* Whether the file can be removed, if there is one: a row whose file would stay is not put into the trash. */
static int check_file(struct store *store, const struct image_key *key, int *file, struct error *e)
{
    int r = *file == 0 ? tier_disk_check_removal(store->disk, key, e) : 0;
    if (r == -ENOENT || r == -ENOTDIR) /* it has gone since it was looked at */
        *file = r;
    else if (*file == 0)
        return r;
    if (*file == -ENOTDIR) /* what was a folder is a file now */
        *file = -ENOENT;
    if (*file == -ENOENT)
        return 0;
    if (*file == -EXDEV)
        return error_set(e, *file,
                         "cannot be removed: a symbolic link in its path leads out of the collection's folder");
    return error_set(e, *file, "cannot be removed: %s", strerror(-*file));
}

static int delete_image(struct ingest *write, enum store_delete how, struct error *e)
{
    struct store *store = write->store;
    struct image_meta core = {.key = write->key};
    struct stat seen = {0};
    int file = tier_disk_look(store->disk, &write->key, &seen);
    int r = check_deletable(store, &write->key, how, &core, e);
    if (r == 0)
        r = check_file(store, &write->key, &file, e);
    if (r < 0)
        return r;
    r = ingest_trash(write, e);
    if (r == -ENOENT) /* in the trash already, and its file still there */
        r = 0;
    if (r == 0)
        r = remove_deleted(store, &core, file, &seen, e);
    (void)store_forget(store, &write->key);
    return r;
}

int store_delete(struct store *store, const struct image_key *key, enum store_delete how, struct error *e)
{
    struct ingest write = {0};
    ingest_begin(&write, store, INGEST_CONTENT, key, NULL); /* no copy of ours is put there from here on */
    int r = delete_image(&write, how, e);
    ingest_end(&write);
    return r;
}
