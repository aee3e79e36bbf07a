/* Serving straight from the files. The ETag is the sha256, which no file tells: it is computed once for each state of a
 * file and remembered. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/lock.h"
#include "fs/filestate.h"
#include "fs/readfile.h"
#include "image/stale_files.h"
#include "tier/tier_disk.h"

#define KNOWN_MAX 65536

struct known_file {
    struct filestate state;
    unsigned char sha256[DIGEST_SHA256_LEN];
    const char *mime; /* static */
    UT_hash_handle hh;
};

struct tier_disk_known {
    struct lock lock;
    struct known_file *table; /* in the order of arrival: the oldest goes first */
    atomic_llong hashing;
};

struct tier_disk_known *tier_disk_known_new(void)
{
    struct tier_disk_known *k = calloc(1, sizeof *k);
    if (k)
        lock_init(&k->lock, LOCK_disk_known);
    return k;
}

void tier_disk_known_free(struct tier_disk_known *k)
{
    if (!k)
        return;
    struct known_file *one = k->table, *next;
    HASH_CLEAR(hh, k->table);
    for (; one; one = next) {
        next = one->hh.next;
        free(one);
    }
    lock_destroy(&k->lock);
    free(k);
}

static int recall(struct tier_disk_known *k, const struct stat *st, struct image_meta *meta)
{
    struct filestate state = filestate_of(st);
    struct known_file *one;
    lock_take(&k->lock);
    HASH_FIND(hh, k->table, &state, sizeof state, one);
    if (one) {
        memcpy(meta->sha256, one->sha256, sizeof meta->sha256);
        meta->mime = one->mime;
    }
    lock_give(&k->lock);
    return one != NULL;
}

static void remember(struct tier_disk_known *k, const struct stat *st, const struct image_meta *meta)
{
    struct known_file *one = calloc(1, sizeof *one), *there;
    if (!one)
        return;
    one->state = filestate_of(st);
    memcpy(one->sha256, meta->sha256, sizeof one->sha256);
    one->mime = meta->mime;
    lock_take(&k->lock);
    HASH_REPLACE(hh, k->table, state, sizeof one->state, one, there);
    free(there);
    if (HASH_COUNT(k->table) > KNOWN_MAX) {
        there = k->table;
        HASH_DEL(k->table, there);
        free(there);
    }
    lock_give(&k->lock);
}

static int describe(void *arg, int fd, const struct stat *st, struct error *e)
{
    return image_describe_file(arg, fd, st->st_size, e);
}

static int learn_large(struct tier_disk_known *k, const struct readfile *file, struct stat *st, struct image_meta *meta,
                       struct error *e)
{
    atomic_fetch_add(&k->hashing, file->st.st_size);
    int r = readfile_visit(file, describe, meta, st, NULL, e);
    atomic_fetch_sub(&k->hashing, file->st.st_size);
    return r;
}

int64_t tier_disk_hashing(struct tier_disk *disk)
{
    return atomic_load(&tier_disk_known(disk)->hashing);
}

/* Reads the file to learn its type and its sha256. */
static int learn(struct tier_disk *disk, const struct readfile *file, struct stat *st, struct image_meta *meta,
                 struct error *e)
{
    size_t max = (size_t)tier_disk_memory_max_bytes(disk);
    struct buf bytes;
    if (file->st.st_size > tier_disk_max_bytes(disk))
        return error_set(e, -EFBIG, "is larger than any image that is kept");
    if (file->st.st_size > (off_t)max)
        return learn_large(tier_disk_known(disk), file, st, meta, e);
    buf_init(&bytes, max + 1);
    int r = readfile_all(file, max, &bytes, st, e);
    if (r == 0)
        r = image_describe(meta, bytes.data, bytes.len, e);
    buf_release(&bytes);
    return r;
}

int tier_disk_state(struct tier_disk *disk, const struct image_key *key, struct filestate *ret)
{
    struct stat st;
    int root;
    int r = tier_disk_root(disk, key->collection, TIER_DISK_EXISTING, &root, NULL);
    if (r < 0)
        return r;
    if (fstatat(root, key->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (stale_files_is(tier_disk_stale_files(disk), key, &st))
        return -ESTALE;
    *ret = filestate_of(&st);
    return 0;
}

/* Whether it still was in this state when it had been copied. */
static int check_state(const struct image *file, const struct filestate *state)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    struct filestate now = filestate_of(&st);
    return filestate_equal(&now, state) ? 0 : -EBUSY;
}

int tier_disk_read_into(const struct image *file, const struct filestate *state, unsigned char *bytes)
{
    size_t size = (size_t)file->meta.size, at = 0;
    while (at < size) {
        ssize_t n = pread(file->fd, bytes + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EBUSY;
        at += (size_t)n;
    }
    return check_state(file, state);
}

int tier_disk_load(const struct image *file, const struct filestate *state, struct image **ret)
{
    struct image *image = image_new(&file->meta);
    if (!image)
        return -ENOMEM;
    int r = tier_disk_read_into(file, state, image->bytes);
    if (r < 0)
        image_unref(image);
    else
        *ret = image;
    return r;
}

/* The image of an open file, whose descriptor it takes over. */
static int make_image(struct image_meta *meta, const struct readfile *file, const struct stat *st, struct image **ret,
                      struct filestate *ret_state)
{
    meta->size = st->st_size;
    meta->mtime_ns = clock_ns(st->st_mtim);
    *ret = image_new_file(meta, file->fd);
    if (!*ret)
        return -ENOMEM;
    if (ret_state)
        *ret_state = filestate_of(st);
    return 0;
}

int tier_disk_open(struct tier_disk *disk, const struct image_key *key, struct image **ret, struct filestate *ret_state,
                   struct error *e)
{
    struct tier_disk_known *known = tier_disk_known(disk);
    struct image_meta meta = {.key = *key};
    struct readfile file = {.fd = -1};
    int root;
    int r = tier_disk_root(disk, key->collection, TIER_DISK_EXISTING, &root, e);
    if (r == 0)
        r = readfile_open(&file, root, key->path, SAFEPATH_BENEATH, e);
    if (r < 0)
        return r;
    struct stat st = file.st;
    if (stale_files_is(tier_disk_stale_files(disk), key, &st))
        r = error_set(e, -ENOENT, "was changed elsewhere");
    if (r == 0 && !recall(known, &st, &meta)) {
        r = learn(disk, &file, &st, &meta, e);
        if (r == 0)
            remember(known, &st, &meta);
    }
    if (r == 0 && make_image(&meta, &file, &st, ret, ret_state) < 0)
        r = error_set_sentence(e, -ENOMEM, "out of memory");
    if (r < 0)
        readfile_close(&file);
    return r;
}

int tier_disk_open_known(struct tier_disk *disk, const struct image_key *key, struct image **ret,
                         struct filestate *ret_state)
{
    struct image_meta meta = {.key = *key};
    struct readfile file;
    int root;
    int r = tier_disk_root(disk, key->collection, TIER_DISK_EXISTING, &root, NULL);
    if (r == 0)
        r = readfile_open_cached(&file, root, key->path, SAFEPATH_BENEATH);
    if (r < 0)
        return r;
    if (stale_files_is(tier_disk_stale_files(disk), key, &file.st) || !recall(tier_disk_known(disk), &file.st, &meta))
        r = -EAGAIN;
    if (r == 0)
        r = make_image(&meta, &file, &file.st, ret, ret_state);
    if (r < 0)
        readfile_close(&file);
    return r;
}
