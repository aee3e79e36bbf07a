/* What other instances have changed, and what they are told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/fserror.h"
#include "fs/safepath.h"
#include "image/stale_files.h"
#include "sql.h"
#include "store/own_writes.h"
#include "store/store_tiers.h"
#include "tier/tier_disk.h"

#define BY_PATH "image:path:"

/* The file that is served for the key, behind links. */
static int look_at(struct store *store, const struct image_key *key, struct stat *ret)
{
    int root;
    int r = safepath_check(key->path, strlen(key->path), NULL); /* anyone may have written the row */
    if (r == 0)
        r = tier_disk_root(store->disk, key->collection, TIER_DISK_EXISTING, &root, NULL);
    if (r < 0)
        return r;
    int fd = safepath_open(root, key->path, O_PATH, SAFEPATH_BENEATH);
    if (fd < 0)
        return fd;
    r = fstat(fd, ret) < 0 ? -errno : S_ISREG(ret->st_mode) ? 0 : -EINVAL;
    close(fd);
    return r;
}

enum { NONE, OLD, CURRENT };

/* What the file is beside its row. A newer one is an upload of the app here, which the watcher stores. What is older
 * was stored, here or elsewhere, before the row got what it has now; or PERDURA_CONFLICT has the row win. */
static int compare(const struct stat *file, const struct image_meta *row)
{
    int64_t mtime_ns = clock_ns(file->st_mtim);
    int is_row = file->st_size == row->size && mtime_ns == row->mtime_ns;
    return mtime_ns > row->mtime_ns || (is_row && !row->deleted_us) ? CURRENT : OLD;
}

/* -EAGAIN: whether there is a file, and which, can't be told now. */
static int look(struct store *store, const struct image_meta *row, struct stat *file, int *ret_is)
{
    int r = look_at(store, &row->key, file);
    *ret_is = r == 0 ? compare(file, row) : NONE;
    return fserror_passes(r) ? -EAGAIN : 0;
}

int store_changed(struct store *store, const struct image_meta *row, enum store_change change)
{
    struct stale_files *stale = tier_disk_stale_files(store->disk);
    int r = 0, is = NONE;
    struct stat file;
    if (change == STORE_CHANGE_FILE)
        r = look(store, row, &file, &is);
    if (r < 0)
        return r;
    /* Of our own: a file that is missing was wiped since; one that is older is what was committed, whose time was set
     * back since. */
    enum own_write own = own_writes_find(store->own_writes, row);
    if ((own && is == NONE) || (own == OWN_WRITE_OF_FILE && is == OLD))
        return stale_files_count(stale) > 0;
    if (!own)
        own_writes_drop(store->own_writes, &row->key);
    if (is != CURRENT) { /* no copy of what was there before gets on disk behind the look */
        tier_disk_changed(store->disk, &row->key);
        is = NONE;
        if (change == STORE_CHANGE_FILE)
            r = look(store, row, &file, &is);
    }
    if (r == 0 && is == OLD)
        r = stale_files_mark(stale, &row->key, &file, row->deleted_us ? STALE_REMOVE : STALE_REPLACE);
    else if (r == 0)
        stale_files_clear(stale, &row->key);
    if (r < 0)
        return r;
    /* Not before the mark: who asks from now on gets neither. Beside a file that is current, as after a change of our
     * own, what is in memory is held against it and stays. */
    if (is != CURRENT) {
        (void)store_forget_here(store, &row->key);
    } else if (!own_writes_has_row(store->own_writes, row)) {
        (void)store_forget_lookups(store, &row->key);
        store_fetch_forget(store->fetch, &row->key);
    }
    return stale_files_count(stale) > 0;
}

void store_forget_reads(struct store *store)
{
    (void)store_forget_lookups_matching(store, "*");
    store_fetch_forget_matching(store->fetch, "*");
}

/* A pattern that means one image by its path and nothing else. 0 when it is another one. */
static int is_literal(const char *pattern, char *collection, char *path)
{
    const char *at = pattern + strlen(BY_PATH);
    if (strncmp(pattern, BY_PATH, strlen(BY_PATH)) != 0)
        return 0;
    size_t n = strcspn(at, ":*?[\\");
    if (at[n] != ':' || n > IMAGE_COLLECTION_MAX)
        return 0;
    memcpy(collection, at, n);
    collection[n] = '\0';
    n = 0;
    for (at = strchr(at, ':') + 1; *at; at++) {
        if (strchr("*?[", *at) || (*at == '\\' && !*++at) || n == SAFEPATH_MAX)
            return 0;
        path[n++] = *at;
    }
    path[n] = '\0';
    return n > 0;
}

int store_forget_named(struct store *store, const char *pattern)
{
    char collection[IMAGE_COLLECTION_MAX + 1], path[SAFEPATH_MAX + 1];
    if (!is_literal(pattern, collection, path))
        return store_forget_matching(store, pattern);
    return store_forget(store, &(struct image_key){collection, path});
}

/* Adds a text that stands for itself behind the first n bytes, as far as there is room, and returns how long it is now.
 */
static size_t add_literal(char ret[STORE_PATTERN_SIZE], size_t n, const char *text)
{
    for (; *text && n + 3 < STORE_PATTERN_SIZE; text++) {
        if (strchr("*?[\\", *text))
            ret[n++] = '\\';
        ret[n++] = *text;
    }
    ret[n] = '\0';
    return n;
}

void store_pattern_of(char ret[STORE_PATTERN_SIZE], const struct image_key *key)
{
    size_t n = (size_t)snprintf(ret, STORE_PATTERN_SIZE, "%s%s:", BY_PATH, key->collection);
    (void)add_literal(ret, n, key->path);
}

int store_pattern_of_entity(char ret[STORE_PATTERN_SIZE], const char *content_type, const char *object_id,
                            const char *variant)
{
    const char *const parts[] = {content_type, object_id, variant};
    size_t n = (size_t)snprintf(ret, STORE_PATTERN_SIZE, "image");
    for (int i = 0; i < 3; i++) {
        if (parts[i] && 2 * strlen(parts[i]) + 8 > STORE_PATTERN_SIZE - n)
            return -ENAMETOOLONG;
        n += (size_t)snprintf(ret + n, STORE_PATTERN_SIZE - n, "%s", parts[i] ? ":" : ":*");
        if (parts[i])
            n = add_literal(ret, n, parts[i]);
    }
    return 0;
}

int store_invalidate(struct store *store, const char *pattern, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, pattern);
    return store_query(store, &sql_invalidation_put, &params, NULL, e);
}

int store_invalidate_images(struct store *store, const struct image_meta *rows, int count, struct error *e)
{
    char pattern[STORE_PATTERN_SIZE];
    struct db_params params;
    struct db_array patterns;
    int r = 0;
    db_array_init(&patterns, DB_TEXT, (size_t)count * (STORE_PATTERN_SIZE + 8));
    for (int i = 0; i < count && r == 0; i++) {
        store_pattern_of(pattern, &rows[i].key);
        r = db_array_add_text(&patterns, pattern);
    }
    if (r == 0) {
        db_params_init(&params);
        db_param_array(&params, &patterns);
        r = store_query(store, &sql_invalidation_put_all, &params, NULL, e);
    } else {
        error_set(e, r, "out of memory");
    }
    db_array_release(&patterns);
    return r;
}
