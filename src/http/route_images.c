/* What is stored, as lists and one by one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/url.h"
#include "http/arguments.h"
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

/* The cursor is where the page before ended: a path, or for orders by time "<microseconds>.<accesses>.<id>". */
static int cursor_meta(const struct listing *l, struct image_meta *after)
{
    long long numbers[3];
    const char *at = l->cursor;
    *after = (struct image_meta){.key.path = l->cursor};
    if (strcmp(l->order, "path") == 0)
        return 0;
    for (int i = 0; i < 3; i++) {
        char *end;
        numbers[i] = strtoll(at, &end, 10);
        if (end == at || *end != (i < 2 ? '.' : '\0'))
            return -EINVAL;
        at = end + 1;
    }
    after->accessed_us = after->deleted_us = numbers[0];
    after->access_count = numbers[1];
    after->id = numbers[2];
    return 0;
}

/* What is wrong with it; NULL: nothing. */
static const char *wrong(const struct listing *l)
{
    if (strcmp(l->state, "live") != 0 && strcmp(l->state, "trash") != 0)
        return "state has to be live or trash";
    if (strcmp(l->order, "path") != 0 && strcmp(l->order, "hottest") != 0 && strcmp(l->order, "deleted") != 0)
        return "order has to be path or hottest; the trash has deleted";
    return NULL;
}

static int list(struct store *store, const struct listing *l, struct store_page **ret, struct error *e)
{
    const char *const only[] = {l->collection, NULL};
    struct image_meta meta = {0}, *after = l->cursor ? &meta : NULL;
    if (wrong(l))
        return error_set(e, -EINVAL, "%s", wrong(l));
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
    char cursor[80];
    int count = store_page_count(page);
    for (int i = 0; i < count; i++) {
        store_page_meta(page, i, &meta);
        json_array_append_new(images, describe_image(&meta));
    }
    json_t *body = json_pack("{s:o, s:n}", "images", images, "cursor");
    if (count < l->limit)
        return body;
    int by_trash = strcmp(l->state, "trash") == 0;
    (void)snprintf(cursor, sizeof cursor, "%lld.%lld.%lld", (long long)(by_trash ? meta.deleted_us : meta.accessed_us),
                   (long long)meta.access_count, (long long)meta.id);
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
    if (http_query(x, &query) < 0)
        return;
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
    int64_t id = http_tail_number(x);
    if (id < 1) {
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

/* A change of what is known of an image: its entity, and whether it lies in the trash. */
static void change(struct http_exchange *x, const struct image_meta *meta, const json_t *arguments)
{
    struct store *store = x->service->store;
    const json_t *deleted = json_object_get(arguments, "deleted");
    const char *content_type = http_argument_text(arguments, "content_type");
    const char *object_id = http_argument_text(arguments, "object_id");
    const char *variant = http_argument_text(arguments, "variant");
    struct error why;
    int r = 0;
    if (json_is_false(deleted) && meta->deleted_us)
        r = store_undelete(store, &meta->key, &why);
    if (r == 0 && (content_type || object_id || variant))
        r = store_assign(store, &meta->key, content_type, object_id, variant, &why);
    if (r == 0 && json_is_true(deleted) && !meta->deleted_us)
        r = store_delete(store, &meta->key, STORE_DELETE_SAFE, &why);
    if (r < 0)
        http_answer_error(x, "the image", &why);
    else
        route_images_get(x);
}

void route_images_patch(struct http_exchange *x)
{
    static const struct http_argument known[] = {
        {"content_type", HTTP_ARGUMENT_TEXT},
        {"object_id", HTTP_ARGUMENT_TEXT},
        {"variant", HTTP_ARGUMENT_TEXT},
        {"deleted", HTTP_ARGUMENT_FLAG},
        {NULL, 0},
    };
    struct image_meta meta;
    json_t *arguments = http_arguments(x, known);
    struct store_page *page = arguments ? numbered(x) : NULL;
    if (page) {
        store_page_meta(page, 0, &meta);
        change(x, &meta, arguments);
        store_page_free(page);
    }
    json_decref(arguments);
}
