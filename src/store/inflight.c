#include "store/inflight.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/lock.h"
#include "store/pattern.h"

struct inflight_image {
    struct inflight *all;
    struct image *image;
    int is_forgotten; /* it is another image now: not in the table */
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

struct inflight {
    struct lock lock;
    const atomic_ullong *forgets;
    struct inflight_image *images;
};

struct inflight *inflight_new(const atomic_ullong *forgets)
{
    struct inflight *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    lock_init(&f->lock, LOCK_inflight);
    f->forgets = forgets;
    return f;
}

void inflight_free(struct inflight *f)
{
    if (!f)
        return;
    lock_destroy(&f->lock);
    free(f);
}

/* The lock is held. */
static void forget(struct inflight_image *one)
{
    HASH_DEL(one->all->images, one);
    one->is_forgotten = 1;
}

struct inflight_image *inflight_begin(struct inflight *f, struct image *image, uint64_t forgets)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&image->meta.key, name);
    struct inflight_image *one = calloc(1, sizeof *one + len), *there;
    if (!one)
        return NULL;
    one->all = f;
    one->image = image_ref(image);
    one->name_len = len;
    memcpy(one->name, name, len);
    lock_take(&f->lock);
    one->is_forgotten = *f->forgets != forgets;
    if (!one->is_forgotten) {
        HASH_REPLACE(hh, f->images, name[0], one->name_len, one, there);
        if (there)
            there->is_forgotten = 1;
    }
    lock_give(&f->lock);
    return one;
}

void inflight_end(struct inflight_image *one)
{
    struct lock *lock = &one->all->lock;
    lock_take(lock);
    if (!one->is_forgotten)
        forget(one);
    lock_give(lock);
    image_unref(one->image);
    free(one);
}

struct image *inflight_find(struct inflight *f, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct inflight_image *one;
    lock_take(&f->lock);
    HASH_FIND(hh, f->images, name, len, one);
    struct image *image = one ? image_ref(one->image) : NULL;
    lock_give(&f->lock);
    return image;
}

int inflight_forget(struct inflight *f, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct inflight_image *one;
    lock_take(&f->lock);
    HASH_FIND(hh, f->images, name, len, one);
    if (one)
        forget(one);
    lock_give(&f->lock);
    return one != NULL;
}

int inflight_forget_matching(struct inflight *f, const char *pattern)
{
    struct inflight_image *one, *next;
    int n = 0;
    lock_take(&f->lock);
    HASH_ITER (hh, f->images, one, next) {
        if (pattern_means_name(one->name, pattern)) {
            forget(one);
            n++;
        }
    }
    lock_give(&f->lock);
    return n;
}
