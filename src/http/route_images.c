/* What is stored, as lists and one by one, and images by entity. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/sniff.h"
#include "codec/url.h"
#include "http/image_answer.h"
#include "http/image_store.h"
#include "http/routes.h"
#include "http/server.h"
#include "job/describe.h"
#include "store/store.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

struct listing {
    const char *collection, *prefix, *order, *cursor, *state;
    int limit;
};

static int parse_limit(const char *text, int *ret)
{
    char *end;
    long n = text ? strtol(text, &end, 10) : PAGE_DEFAULT;
    if (text && (*end || end == text || n < 1 || n > PAGE_MAX))
        return -EINVAL;
    *ret = (int)n;
    return 0;
}

/* The cursor is where the page before ended: a path, or for orders by time "<microseconds>.<id>". */
static int cursor_meta(const struct listing *l, struct image_meta *after)
{
    long long us, id;
    char end;
    *after = (struct image_meta){.key.path = l->cursor};
    if (strcmp(l->order, "path") == 0)
        return 0;
    if (sscanf(l->cursor, "%lld.%lld%c", &us, &id, &end) != 2)
        return -EINVAL;
    after->accessed_us = after->deleted_us = us;
    after->id = id;
    return 0;
}

static int list(struct store *store, const struct listing *l, struct store_page **ret, struct error *e)
{
    const char *const only[] = {l->collection, NULL};
    struct image_meta meta, *after = l->cursor ? &meta : NULL;
    if (after && cursor_meta(l, after) < 0)
        return error_set(e, -EINVAL, "the cursor is none of ours");
    if (strcmp(l->state, "trash") == 0)
        return store_list_trash(store, l->collection, after, l->limit, ret, e);
    if (strcmp(l->order, "hottest") == 0)
        return store_list_hottest(store, only, after, l->limit, ret, e);
    return store_list_by_path(store, l->collection, l->prefix, after, l->limit, ret, e);
}

static json_t *page_json(const struct listing *l, const struct store_page *page)
{
    json_t *images = json_array();
    struct image_meta meta = {0};
    char cursor[64];
    int count = store_page_count(page);
    for (int i = 0; i < count; i++) {
        store_page_meta(page, i, &meta);
        json_array_append_new(images, describe_image(&meta));
    }
    json_t *body = json_pack("{s:o, s:n}", "images", images, "cursor");
    if (count < l->limit)
        return body;
    int by_trash = strcmp(l->state, "trash") == 0;
    (void)snprintf(cursor, sizeof cursor, "%lld.%lld", (long long)(by_trash ? meta.deleted_us : meta.accessed_us),
                   (long long)meta.id);
    json_object_set_new(body, "cursor", json_string(strcmp(l->order, "path") == 0 ? meta.key.path : cursor));
    return body;
}

static const char * or (const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

void route_images_list(struct http_exchange *x)
{
    struct url_query query;
    struct store_page *page;
    struct listing l;
    struct error why;
    if (url_query_parse(&query, x->raw_query, x->raw_query ? strlen(x->raw_query) : 0, &why) < 0) {
        http_answer_problem(x, 400, "%s", why.text);
        return;
    }
    l.collection = or (url_query_get(&query, "collection"), "media");
    l.prefix = or (url_query_get(&query, "q"), "");
    l.state = or (url_query_get(&query, "state"), "live");
    l.order = strcmp(l.state, "trash") == 0 ? "deleted" : or (url_query_get(&query, "order"), "path");
    l.cursor = url_query_get(&query, "cursor");
    int r = parse_limit(url_query_get(&query, "limit"), &l.limit);
    if (r < 0)
        http_answer_problem(x, 400, "limit has to be a number from 1 to %d", PAGE_MAX);
    else if (list(x->service->store, &l, &page, &why) < 0)
        http_answer_error(x, NULL, &why);
    else {
        http_answer_json(x, 200, page_json(&l, page));
        store_page_free(page);
    }
    url_query_release(&query);
}

/* The page with the image that the URL's number names; NULL: it is answered. */
static struct store_page *numbered(struct http_exchange *x)
{
    struct store_page *page;
    struct image_meta meta;
    struct error why;
    char *end;
    long long id = strtoll(x->tail, &end, 10);
    if ((*end && strcmp(end, "/") != 0) || id < 1) {
        http_answer_problem(x, 404, "images have numbers; see /image-cache/images");
        return NULL;
    }
    if (store_list_by_id(x->service->store, id - 1, 1, &page, &why) < 0) {
        http_answer_error(x, NULL, &why);
        return NULL;
    }
    if (store_page_count(page)) {
        store_page_meta(page, 0, &meta);
        if (meta.id == id)
            return page;
    }
    store_page_free(page);
    http_answer_problem(x, 404, "no image has this number");
    return NULL;
}

void route_images_get(struct http_exchange *x)
{
    struct image_meta meta;
    struct store_page *page = numbered(x);
    if (!page)
        return;
    store_page_meta(page, 0, &meta);
    http_answer_json(x, 200, describe_image(&meta));
    store_page_free(page);
}

void route_images_delete(struct http_exchange *x)
{
    struct image_meta meta;
    struct store_page *page = numbered(x);
    if (!page)
        return;
    store_page_meta(page, 0, &meta);
    x->key = meta.key;
    image_store_delete(x);
    store_page_free(page);
}

/* Entities */

struct entity {
    const char *content_type;
    char text[3][256]; /* content type as it was sent, object, variant */
};

static const char *singular(const char *content_type)
{
    static const char *const names[][2] = {{"artists", "artist"}, {"albums", "album"}, {"users", "user"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(content_type, names[i][0]) == 0)
            return names[i][1];
    return content_type;
}

static int take_entity(struct http_exchange *x, struct entity *ret)
{
    const char *at = x->tail;
    struct error why;
    for (int i = 0; i < 3; i++) {
        size_t n = strcspn(at, "/"), len;
        if (n >= sizeof ret->text[i] || url_decode_path(ret->text[i], &len, at, n, &why) < 0 || !len) {
            http_answer_problem(x, 400, "the entity's names are too long or malformed");
            return -EINVAL;
        }
        at += n + (at[n] == '/');
    }
    ret->content_type = singular(ret->text[0]);
    return 0;
}

/* Runs on a worker, which waits for the database; the image itself comes through store_fetch like any other. */
void route_entity_get(struct http_exchange *x)
{
    struct entity entity;
    struct store_page *page;
    struct image_meta meta;
    struct error why;
    if (take_entity(x, &entity) < 0)
        return;
    if (store_entity(x->service->store, entity.content_type, entity.text[1], entity.text[2], &page, &why) < 0) {
        http_answer_error(x, "the image", &why);
        return;
    }
    store_page_meta(page, 0, &meta);
    x->key.collection = config_collection(store_config(x->service->store), meta.key.collection)->name;
    x->key.path = x->path = strdup(meta.key.path);
    store_page_free(page);
    x->next = image_fetch;
}

void route_entity_put(struct http_exchange *x)
{
    struct entity entity;
    if (take_entity(x, &entity) < 0)
        return;
    struct sniff seen = sniff(x->body.data, x->body.len);
    if (seen.kind == SNIFF_NONE) {
        http_answer_problem(x, 400, "the body is no image");
        return;
    }
    if (asprintf(&x->path, "%s/%s/%s.%s", entity.content_type, entity.text[1], entity.text[2],
                 sniff_extension(seen.kind)) < 0) {
        x->path = NULL;
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    struct image_meta meta = {.key = {"media", x->path},
                              .content_type = entity.content_type,
                              .object_id = entity.text[1],
                              .variant = entity.text[2]};
    image_store_put(x, &meta);
}
