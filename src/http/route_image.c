/* Images by path: the URLs of the collections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/url.h"
#include "fs/safepath.h"
#include "http/image_answer.h"
#include "http/image_store.h"
#include "http/routes.h"
#include "http/server.h"
#include "job/access.h"
#include "store/store.h"

/* Decodes and checks what stands behind the collection's URL. */
static int take_path(struct http_exchange *x)
{
    struct error why;
    size_t n = strlen(x->tail), len;
    x->path = malloc(n + 1);
    if (!x->path) {
        http_answer_problem(x, 500, "out of memory");
        return -ENOMEM;
    }
    int r = url_decode_path(x->path, &len, x->tail, n, &why);
    if (r == 0)
        r = safepath_check(x->path, len, &why);
    if (r < 0) {
        http_answer_problem(x, 400, "the path %s", why.text);
        return r;
    }
    x->key.path = x->path;
    return 0;
}

void route_image_get(struct http_exchange *x)
{
    access_request(x->service->access, x->key.collection);
    if (take_path(x) < 0)
        return;
    if (image_answer_hot(x) == 0)
        return;
    http_later(x);
    image_fetch(x);
}

void route_image_put(struct http_exchange *x)
{
    struct image_meta meta = {0};
    struct url_query query;
    if (take_path(x) < 0 || http_query(x, &query) < 0)
        return;
    meta.key = x->key;
    meta.content_type = url_query_get(&query, "content_type");
    meta.object_id = url_query_get(&query, "object_id");
    meta.variant = url_query_get(&query, "variant");
    image_store_put(x, &meta);
    url_query_release(&query);
}

void route_image_delete(struct http_exchange *x)
{
    if (take_path(x) == 0)
        image_store_delete(x);
}

void route_image_purge(struct http_exchange *x)
{
    char pattern[STORE_PATTERN_SIZE];
    if (take_path(x) < 0)
        return;
    store_pattern_of(pattern, &x->key);
    route_invalidate_named(x, pattern);
}
