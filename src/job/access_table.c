#include "job/access_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Places in a part's array are counted from 1; 0 is none. */
struct entry {
    int64_t image_id; /* 0: not in use */
    int64_t accessed_us;
    int64_t due_ms;
    uint32_t requests;
    uint32_t next; /* of the same bucket, or of those not in use */
};

struct part {
    pthread_mutex_t lock;
    struct entry *entries;
    uint32_t *buckets; /* the first of each; as many as entries */
    uint32_t used;     /* entries that were ever in use */
    uint32_t count;    /* those in use */
    uint32_t unused;   /* the first that is no longer in use */
};

struct access_table {
    uint32_t room; /* of each part */
    struct part parts[ACCESS_PARTS];
};

int access_table_new(struct access_table **ret, size_t images)
{
    struct access_table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->room = (uint32_t)((images + ACCESS_PARTS - 1) / ACCESS_PARTS);
    for (int i = 0; i < ACCESS_PARTS; i++)
        pthread_mutex_init(&t->parts[i].lock, NULL);
    for (int i = 0; i < ACCESS_PARTS; i++) {
        struct part *p = &t->parts[i];
        p->entries = calloc(t->room, sizeof *p->entries);
        p->buckets = calloc(t->room, sizeof *p->buckets);
        if (!p->entries || !p->buckets) {
            access_table_free(t);
            return -ENOMEM;
        }
    }
    *ret = t;
    return 0;
}

void access_table_free(struct access_table *t)
{
    for (int i = 0; t && i < ACCESS_PARTS; i++) {
        pthread_mutex_destroy(&t->parts[i].lock);
        free(t->parts[i].entries);
        free(t->parts[i].buckets);
    }
    free(t);
}

/* Fibonacci hashing: neighbours among the ids go to different parts. */
static uint64_t hash(int64_t image_id)
{
    return (uint64_t)image_id * UINT64_C(0x9E3779B97F4A7C15);
}

static struct part *part_of(struct access_table *t, int64_t image_id)
{
    return &t->parts[hash(image_id) >> 60];
}

static uint32_t *bucket_of(const struct access_table *t, struct part *p, int64_t image_id)
{
    return &p->buckets[(hash(image_id) >> 24 & UINT32_MAX) % t->room];
}

/* The image's entry, made when it has none; NULL when the part is full. */
static struct entry *find(const struct access_table *t, struct part *p, int64_t image_id)
{
    uint32_t *bucket = bucket_of(t, p, image_id);
    for (uint32_t i = *bucket; i; i = p->entries[i - 1].next)
        if (p->entries[i - 1].image_id == image_id)
            return &p->entries[i - 1];

    uint32_t i = p->unused;
    if (i)
        p->unused = p->entries[i - 1].next;
    else if (p->used < t->room)
        i = ++p->used;
    else
        return NULL;
    p->entries[i - 1] = (struct entry){.image_id = image_id, .next = *bucket};
    p->count++;
    *bucket = i;
    return &p->entries[i - 1];
}

static void forget(const struct access_table *t, struct part *p, uint32_t i)
{
    struct entry *e = &p->entries[i - 1];
    uint32_t *link = bucket_of(t, p, e->image_id);
    while (*link != i)
        link = &p->entries[*link - 1].next;
    *link = e->next;
    *e = (struct entry){.next = p->unused};
    p->unused = i;
    p->count--;
}

int access_table_note(struct access_table *t, int64_t image_id, int64_t now_us)
{
    struct part *p = part_of(t, image_id);
    if (image_id <= 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    struct entry *e = find(t, p, image_id);
    if (e) {
        e->requests += e->requests < UINT32_MAX;
        e->accessed_us = now_us > e->accessed_us ? now_us : e->accessed_us;
    }
    pthread_mutex_unlock(&p->lock);
    return e != NULL;
}

size_t access_table_take(struct access_table *t, enum access_take how, int64_t now_ms, size_t *pos,
                         struct access_row *rows, size_t max)
{
    size_t count = 0;
    while (count < max && *pos / t->room < ACCESS_PARTS) {
        struct part *p = &t->parts[*pos / t->room];
        uint32_t i = (uint32_t)(*pos % t->room);
        pthread_mutex_lock(&p->lock);
        for (; i < p->used && count < max; i++) {
            struct entry *e = &p->entries[i];
            if (!e->requests || (how == ACCESS_TAKE_DUE && now_ms < e->due_ms))
                continue;
            rows[count++] = (struct access_row){e->image_id, e->accessed_us, e->requests};
            e->requests = 0;
            e->due_ms = now_ms + ACCESS_PERIOD_MS;
        }
        *pos += (i < p->used ? i : t->room) - *pos % t->room;
        pthread_mutex_unlock(&p->lock);
    }
    return count;
}

int64_t access_table_give_back(struct access_table *t, const struct access_row *rows, size_t count)
{
    int64_t lost = 0;
    for (size_t i = 0; i < count; i++) {
        struct part *p = part_of(t, rows[i].image_id);
        pthread_mutex_lock(&p->lock);
        struct entry *e = find(t, p, rows[i].image_id);
        if (e) {
            uint64_t sum = e->requests + (uint64_t)rows[i].requests;
            e->requests = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
            e->due_ms = 0;
            if (e->accessed_us < rows[i].accessed_us)
                e->accessed_us = rows[i].accessed_us;
        } else {
            lost += rows[i].requests;
        }
        pthread_mutex_unlock(&p->lock);
    }
    return lost;
}

void access_table_sweep(struct access_table *t, int64_t now_ms)
{
    for (int n = 0; n < ACCESS_PARTS; n++) {
        struct part *p = &t->parts[n];
        pthread_mutex_lock(&p->lock);
        int crowded = p->count > t->room / 4 * 3;
        for (uint32_t i = 1; i <= p->used; i++) {
            const struct entry *e = &p->entries[i - 1];
            if (e->image_id && !e->requests && (crowded || e->due_ms <= now_ms))
                forget(t, p, i);
        }
        pthread_mutex_unlock(&p->lock);
    }
}
