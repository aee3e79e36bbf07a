#include "store/store_fill.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tier/tier_disk.h"

#define WAITING_MAX       1024
#define WAITING_BYTES_MAX (16 << 20) /* one more image may be above */

struct fill_order {
    struct image *image;
    uint64_t mark;
    fill_done_fn *done;
    void *arg;
};

struct fill {
    struct tier_disk *disk;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stopped;
    int count;     /* those that wait */
    int64_t bytes; /* of those and of the ones being written */
    struct fill_order waiting[WAITING_MAX];
    pthread_t thread;
};

static int take(struct fill *f, struct fill_order *ret)
{
    int n = 0;
    pthread_mutex_lock(&f->lock);
    while (!f->count && !f->stopped)
        pthread_cond_wait(&f->changed, &f->lock);
    for (; n < f->count && n < TIER_DISK_FILL_MAX; n++)
        ret[n] = f->waiting[n];
    for (int i = n; i < f->count; i++)
        f->waiting[i - n] = f->waiting[i];
    f->count -= n;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static void *store_fill_run(void *arg)
{
    struct fill *f = arg;
    struct fill_order orders[TIER_DISK_FILL_MAX];
    struct image *images[TIER_DISK_FILL_MAX];
    uint64_t marks[TIER_DISK_FILL_MAX];
    int n;
    while ((n = take(f, orders))) {
        int64_t bytes = 0;
        for (int i = 0; i < n; i++) {
            images[i] = orders[i].image;
            marks[i] = orders[i].mark;
            bytes += images[i]->meta.size;
        }
        tier_disk_fill(f->disk, images, marks, n);
        for (int i = 0; i < n; i++) {
            image_unref(images[i]);
            orders[i].done(orders[i].arg);
        }
        pthread_mutex_lock(&f->lock);
        f->bytes -= bytes;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
    }
    return NULL;
}

int fill_start(struct fill **ret, struct tier_disk *disk)
{
    struct fill *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->disk = disk;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    int r = pthread_create(&f->thread, NULL, store_fill_run, f);
    if (r) {
        pthread_cond_destroy(&f->changed);
        pthread_mutex_destroy(&f->lock);
        free(f);
        return -r;
    }
    *ret = f;
    return 0;
}

void fill_stop(struct fill *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stopped = 1;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static int is_full(const struct fill *f)
{
    return f->count == WAITING_MAX || f->bytes >= WAITING_BYTES_MAX;
}

int fill_later(struct fill *f, struct image *image, uint64_t mark, enum fill_how how, fill_done_fn *done, void *arg)
{
    pthread_mutex_lock(&f->lock);
    while (how == FILL_SURELY && is_full(f))
        pthread_cond_wait(&f->changed, &f->lock);
    int r = is_full(f) ? -EAGAIN : 0;
    if (r == 0) {
        f->bytes += image->meta.size;
        f->waiting[f->count++] = (struct fill_order){image_ref(image), mark, done, arg};
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}
