#include <semaphore.h>
#include <string.h>

#include "fs/safepath.h"
#include "store/store_tiers.h"

struct awaited {
    sem_t told;
    struct image *image;
    const char *tier;
    struct error why;
};

static void note_told(void *arg, struct image *image, const struct store_hit *found, const struct error *why)
{
    struct awaited *a = arg;
    a->image = image;
    if (image)
        a->tier = found->tier;
    else
        a->why = *why;
    sem_post(&a->told);
}

static int read_and_wait(struct store *store, const struct image_key *key, struct awaited *a, struct error *e)
{
    int r = store_fetch(store, key, note_told, a);
    if (r < 0)
        return error_set(e, r, "out of memory");
    while (sem_wait(&a->told) < 0)
        ; /* a signal */
    if (!a->image && e)
        *e = a->why;
    return a->image ? 0 : a->why.code;
}

int store_read(struct store *store, const struct image_key *key, struct image **ret, const char **ret_tier,
               struct error *e)
{
    struct awaited a = {0};
    int r = safepath_check(key->path, strlen(key->path), e);
    if (r == 0)
        r = store_fetch_begin(store, e);
    if (r < 0)
        return r;
    sem_init(&a.told, 0, 0);
    r = read_and_wait(store, key, &a, e);
    store_fetch_end(store);
    sem_destroy(&a.told);
    if (r < 0)
        return r;
    if (ret_tier)
        *ret_tier = a.tier;
    *ret = a.image;
    return 0;
}
