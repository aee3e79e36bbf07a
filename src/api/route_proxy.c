/* Images of collections that have an origin (PERDURA_ORIGINS). */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "api/image_answer.h"
#include "api/image_path.h"
#include "api/routes.h"
#include "config/config.h"
#include "stats/access.h"
#include "store/store.h"

#define PET_COLLECTION "mascotas"

/* The collection's name, as the settings have it, when `raw` begins with it or is it. */
static int take_collection(struct http_transaction *x, const char *raw, size_t n)
{
    const struct config *config = store_config(x->service->store);
    for (size_t i = 0; i < config->image_origins_len; i++) {
        const char *name = config->image_origins[i].collection;
        if (strlen(name) == n && memcmp(name, raw, n) == 0) {
            x->key.collection = name;
            return 0;
        }
    }
    http_answer_problem(x, 404, "no collection of that name has an origin: name it in PERDURA_ORIGINS");
    return -ENOENT;
}

/* "/proxy-image/{collection}/{path}" */
static int take_key(struct http_transaction *x)
{
    size_t n = strcspn(x->tail, "/");
    return take_collection(x, x->tail, n) < 0 ? -ENOENT : http_image_path(x, x->tail + n + 1);
}

/* "/pet/proxy-image/{path}" */
static int take_pet_key(struct http_transaction *x)
{
    return take_collection(x, PET_COLLECTION, strlen(PET_COLLECTION)) < 0 ? -ENOENT : http_image_path(x, x->tail);
}

static void get(struct http_transaction *x)
{
    access_request(x->service->access, x->key.collection);
    if (image_answer_hot(x) == 0)
        return;
    http_later(x);
    image_fetch_proxied(x);
}

static void purge(struct http_transaction *x)
{
    char pattern[STORE_PATTERN_SIZE];
    store_pattern_of(pattern, &x->key);
    route_invalidate_named(x, pattern);
}

void route_proxy_get(struct http_transaction *x)
{
    if (take_key(x) == 0)
        get(x);
}

void route_pet_proxy_get(struct http_transaction *x)
{
    if (take_pet_key(x) == 0)
        get(x);
}

void route_proxy_purge(struct http_transaction *x)
{
    if (take_key(x) == 0)
        purge(x);
}

void route_pet_proxy_purge(struct http_transaction *x)
{
    if (take_pet_key(x) == 0)
        purge(x);
}
