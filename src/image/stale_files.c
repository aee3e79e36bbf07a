#include "image/stale_files.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/lock.h"

struct mark {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
    enum stale_remedy remedy;
    uint64_t number;
    int64_t due_ms;
    int taken;
    int cleared; /* while it was taken */
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* collection NUL path NUL */
};

struct stale_files {
    struct lock lock;
    atomic_int count;   /* of the table; most of the time 0, and then nobody needs the lock */
    struct mark *table; /* in the order of arrival */
    uint64_t numbers;
};

struct stale_files *stale_files_new(void)
{
    struct stale_files *t = calloc(1, sizeof *t);
    if (t)
        lock_init(&t->lock, LOCK_stale_files);
    return t;
}

void stale_files_free(struct stale_files *t)
{
    if (!t)
        return;
    struct mark *one = t->table, *next;
    HASH_CLEAR(hh, t->table);
    for (; one; one = next) {
        next = one->hh.next;
        free(one);
    }
    lock_destroy(&t->lock);
    free(t);
}

/* From here on with the lock held. */

static struct mark *find(const struct stale_files *t, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned n = image_key_name(key, name);
    struct mark *one;
    HASH_FIND(hh, t->table, name, n, one);
    return one;
}

static struct mark *add(struct stale_files *t, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned n = image_key_name(key, name);
    struct mark *one = calloc(1, sizeof *one + n);
    if (!one)
        return NULL;
    one->name_len = n;
    memcpy(one->name, name, n);
    HASH_ADD(hh, t->table, name[0], n, one);
    atomic_fetch_add(&t->count, 1);
    return one;
}

static void drop(struct stale_files *t, struct mark *one)
{
    HASH_DEL(t->table, one); /* NOLINT(clang-analyzer-unix.Malloc): in a loop it takes the table's head for freed */
    atomic_fetch_sub(&t->count, 1);
    free(one);
}

static int is_of(const struct mark *one, const struct stat *file)
{
    return one->dev == file->st_dev && one->ino == file->st_ino && one->size == file->st_size &&
           clock_ns(one->mtime) == clock_ns(file->st_mtim);
}

/* With the lock taken. */

int stale_files_mark(struct stale_files *t, const struct image_key *key, const struct stat *file,
                     enum stale_remedy remedy)
{
    int r = 0;
    lock_take(&t->lock);
    struct mark *one = find(t, key);
    if (!one && atomic_load(&t->count) >= STALE_FILES_MAX)
        r = -ENOSPC;
    else if (!one && !(one = add(t, key)))
        r = -ENOMEM;
    if (r == 0) {
        one->dev = file->st_dev;
        one->ino = file->st_ino;
        one->size = file->st_size;
        one->mtime = file->st_mtim;
        one->remedy = remedy;
        one->number = ++t->numbers;
        one->due_ms = 0;
        one->cleared = 0;
    }
    lock_give(&t->lock);
    return r;
}

void stale_files_clear(struct stale_files *t, const struct image_key *key)
{
    if (!atomic_load(&t->count))
        return;
    lock_take(&t->lock);
    struct mark *one = find(t, key);
    if (one && one->taken)
        one->cleared = 1;
    else if (one)
        drop(t, one);
    lock_give(&t->lock);
}

int stale_files_is(struct stale_files *t, const struct image_key *key, const struct stat *file)
{
    if (!atomic_load(&t->count))
        return 0;
    lock_take(&t->lock);
    const struct mark *one = find(t, key);
    int yes = one && !one->cleared && is_of(one, file);
    lock_give(&t->lock);
    return yes;
}

int stale_files_count(struct stale_files *t)
{
    return atomic_load(&t->count);
}

int stale_files_take(struct stale_files *t, struct stale_file *files, int max)
{
    int64_t now_ms = clock_monotonic_ms();
    int n = 0;
    lock_take(&t->lock);
    for (struct mark *one = t->table; one && n < max; one = one->hh.next) {
        if (one->taken || one->due_ms > now_ms)
            continue;
        one->taken = 1;
        files[n++] = (struct stale_file){
            .key = image_key_named(one->name),
            .remedy = one->remedy,
            .seen = {.st_dev = one->dev, .st_ino = one->ino, .st_size = one->size, .st_mtim = one->mtime},
            .number = one->number,
            .mark = one,
        };
    }
    lock_give(&t->lock);
    return n;
}

void stale_files_settle(struct stale_files *t, const struct stale_file *file, int again_ms)
{
    struct mark *one = file->mark;
    lock_take(&t->lock);
    one->taken = 0;
    if (one->cleared || (!again_ms && one->number == file->number))
        drop(t, one);
    else
        one->due_ms = one->number == file->number ? clock_monotonic_ms() + again_ms : 0;
    lock_give(&t->lock);
}
