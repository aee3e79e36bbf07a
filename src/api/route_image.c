/* Images by path: the URLs of the collections. */
#include "api/api.h"
#include "api/image_answer.h"
#include "api/image_path.h"
#include "api/image_store.h"
#include "api/routes.h"
#include "codec/url.h"
#include "stats/access.h"
#include "store/store.h"

void route_image_get(struct http_transaction *x)
{
    access_request(x->service->access, x->key.collection);
    if (http_image_path(x, x->tail) < 0)
        return;
    if (image_answer_hot(x) == 0)
        return;
    http_later(x);
    image_fetch(x);
}

/* An empty name is none. */
static const char *entity_part(const struct url_query *query, const char *name)
{
    const char *text = url_query_get(query, name);
    return text && *text ? text : NULL;
}

void route_image_put(struct http_transaction *x)
{
    struct image_meta meta = {0};
    struct url_query query;
    if (http_image_path(x, x->tail) < 0 || http_query(x, &query) < 0)
        return;
    meta.key = x->key;
    meta.content_type = entity_part(&query, "content_type");
    meta.object_id = entity_part(&query, "object_id");
    meta.variant = entity_part(&query, "variant");
    image_store_put(x, &meta);
    url_query_release(&query);
}

void route_image_delete(struct http_transaction *x)
{
    if (http_image_path(x, x->tail) == 0)
        image_store_delete(x);
}

void route_image_purge(struct http_transaction *x)
{
    char pattern[STORE_PATTERN_SIZE];
    if (http_image_path(x, x->tail) < 0)
        return;
    store_pattern_of(pattern, &x->key);
    route_invalidate_named(x, pattern);
}
