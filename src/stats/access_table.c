#include "stats/access_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/lock.h"

struct access_entry {
    UT_hash_handle hh;
    int64_t accessed_us;
    int64_t due_ms;
    uint32_t requests;
    uint32_t path_at; /* in name */
    char name[];      /* image_key_name; never changed, so that it may be read without the lock */
};

struct part {
    struct lock lock;
    struct access_entry *entries;
};

struct access_table {
    unsigned room; /* of each part */
    struct part parts[ACCESS_PARTS];
};

int access_table_new(struct access_table **ret, size_t images)
{
    struct access_table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->room = (unsigned)((images + ACCESS_PARTS - 1) / ACCESS_PARTS);
    for (int i = 0; i < ACCESS_PARTS; i++)
        lock_init(&t->parts[i].lock, LOCK_access_part);
    *ret = t;
    return 0;
}

static void forget(struct part *p, struct access_entry *entry)
{
    HASH_DEL(p->entries, entry); /* NOLINT(clang-analyzer-unix.Malloc): it can't know that no entry comes twice */
    free(entry);
}

void access_table_free(struct access_table *t)
{
    for (int i = 0; t && i < ACCESS_PARTS; i++) {
        struct part *p = &t->parts[i];
        for (struct access_entry *entry = p->entries, *next; entry; entry = next) {
            next = entry->hh.next;
            forget(p, entry);
        }
        lock_destroy(&p->lock);
    }
    free(t);
}

/* uthash finds its buckets by the low bits, which is why these are the high ones. */
static struct part *part_of(struct access_table *t, unsigned hash)
{
    return &t->parts[hash >> 28];
}
_Static_assert(ACCESS_PARTS == 1 << 4, "as many parts as four bits tell");

static struct access_entry *add(struct part *p, const char *name, unsigned len, unsigned path_at, unsigned hash)
{
    struct access_entry *entry = calloc(1, sizeof *entry + len);
    if (!entry)
        return NULL;
    memcpy(entry->name, name, len);
    entry->path_at = path_at;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, p->entries, entry->name, len, hash, entry);
    if (entry->hh.tbl)
        return entry;
    free(entry);
    return NULL;
}

int access_table_note(struct access_table *t, const struct image_key *key, int64_t now_us)
{
    size_t path_at = strlen(key->collection) + 1, path = strlen(key->path) + 1, len = path_at + path;
    char name[IMAGE_NAME_SIZE];
    struct access_entry *entry;
    unsigned hash;
    if (len > sizeof name)
        return 0;
    (void)image_key_name(key, name);
    HASH_VALUE(name, len, hash);

    struct part *p = part_of(t, hash);
    lock_take(&p->lock);
    HASH_FIND_BYHASHVALUE(hh, p->entries, name, len, hash, entry);
    if (!entry && HASH_COUNT(p->entries) < t->room)
        entry = add(p, name, (unsigned)len, (unsigned)path_at, hash);
    if (entry) {
        entry->requests += entry->requests < UINT32_MAX;
        entry->accessed_us = now_us > entry->accessed_us ? now_us : entry->accessed_us;
    }
    lock_give(&p->lock);
    return entry != NULL;
}

static int is_due(const struct access_entry *entry, enum access_take how, int64_t now_ms)
{
    return entry->requests && (how == ACCESS_TAKE_ALL || entry->due_ms <= now_ms);
}

/* What was taken before has no requests left: a part that is begun again gives the rest. */
static size_t take_part(struct part *p, enum access_take how, int64_t now_ms, struct access_row *rows, size_t max)
{
    size_t count = 0;
    for (struct access_entry *entry = p->entries; entry && count < max; entry = entry->hh.next) {
        if (!is_due(entry, how, now_ms))
            continue;
        rows[count++] = (struct access_row){
            .entry = entry,
            .key = {entry->name, entry->name + entry->path_at},
            .accessed_us = entry->accessed_us,
            .requests = entry->requests,
        };
        entry->requests = 0;
        entry->due_ms = now_ms + ACCESS_PERIOD_MS;
    }
    return count;
}

size_t access_table_take(struct access_table *t, enum access_take how, int64_t now_ms, size_t *pos,
                         struct access_row *rows, size_t max)
{
    size_t count = 0;
    while (*pos < ACCESS_PARTS) {
        struct part *p = &t->parts[*pos];
        lock_take(&p->lock);
        count += take_part(p, how, now_ms, rows + count, max - count);
        lock_give(&p->lock);
        if (count == max) /* of this part there may be more */
            break;
        ++*pos;
    }
    return count;
}

void access_table_give_back(struct access_table *t, const struct access_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct access_entry *entry = rows[i].entry;
        struct part *p = part_of(t, entry->hh.hashv);
        lock_take(&p->lock);
        int64_t sum = entry->requests + rows[i].requests;
        entry->requests = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
        entry->due_ms = 0;
        lock_give(&p->lock);
    }
}

void access_table_sweep(struct access_table *t, int64_t now_ms)
{
    for (int n = 0; n < ACCESS_PARTS; n++) {
        struct part *p = &t->parts[n];
        lock_take(&p->lock);
        int crowded = HASH_COUNT(p->entries) > t->room / 4 * 3;
        for (struct access_entry *entry = p->entries, *next; entry; entry = next) {
            next = entry->hh.next;
            if (!entry->requests && (crowded || entry->due_ms <= now_ms))
                forget(p, entry);
        }
        lock_give(&p->lock);
    }
}
