#include "store/store_fill.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/thread.h"
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
    struct thread thread; /* its lock is over what follows */
    int count;            /* those that wait */
    int64_t bytes;        /* of those and of the ones being written */
    struct fill_order waiting[WAITING_MAX];
};

static int take(struct fill *f, struct fill_order *ret)
{
    int n = 0;
    lock_take(&f->thread.lock);
    while (!f->count && !f->thread.stopping)
        (void)thread_wait_change(&f->thread, THREAD_NEVER);
    for (; n < f->count && n < TIER_DISK_FILL_MAX; n++)
        ret[n] = f->waiting[n];
    for (int i = n; i < f->count; i++)
        f->waiting[i - n] = f->waiting[i];
    f->count -= n;
    lock_give(&f->thread.lock);
    return n;
}

static void store_fill_run(void *arg)
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
        lock_take(&f->thread.lock);
        f->bytes -= bytes;
        pthread_cond_broadcast(&f->thread.changed);
        lock_give(&f->thread.lock);
    }
}

int fill_start(struct fill **ret, struct tier_disk *disk)
{
    struct fill *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->disk = disk;
    thread_init(&f->thread, LOCK_fill);
    int r = thread_start(&f->thread, "fill", store_fill_run, f);
    if (r < 0) {
        thread_destroy(&f->thread);
        free(f);
        return r;
    }
    *ret = f;
    return 0;
}

void fill_stop(struct fill *f)
{
    if (!f)
        return;
    (void)!thread_stop(&f->thread, THREAD_NEVER);
    thread_destroy(&f->thread);
    free(f);
}

static int is_full(const struct fill *f)
{
    return f->count == WAITING_MAX || f->bytes >= WAITING_BYTES_MAX;
}

int fill_later(struct fill *f, struct image *image, uint64_t mark, enum fill_how how, fill_done_fn *done, void *arg)
{
    lock_take(&f->thread.lock);
    while (how == FILL_SURELY && is_full(f))
        (void)thread_wait_change(&f->thread, THREAD_NEVER);
    int r = is_full(f) ? -EAGAIN : 0;
    if (r == 0) {
        f->bytes += image->meta.size;
        f->waiting[f->count++] = (struct fill_order){image_ref(image), mark, done, arg};
        pthread_cond_broadcast(&f->thread.changed);
    }
    lock_give(&f->thread.lock);
    return r;
}
