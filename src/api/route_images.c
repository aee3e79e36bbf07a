/* What is stored, one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/arguments.h"
#include "api/describe.h"
#include "api/image_answer.h"
#include "api/image_json.h"
#include "api/image_store.h"
#include "api/routes.h"
#include "codec/url.h"
#include "store/store.h"
#include "store/store_row.h"

/* The page with the image that the URL's number names; NULL: it is answered. */
static struct store_page *numbered(struct http_transaction *x)
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

static json_t *places_json(struct store *store, const struct image_meta *meta)
{
    static const char *const files[] = {[STORE_FILE_UNKNOWN] = NULL,
                                        [STORE_FILE_CURRENT] = "current",
                                        [STORE_FILE_MISSING] = "missing",
                                        [STORE_FILE_CHANGED] = "changed"};
    struct store_places places;
    store_row_places(store, meta, &places);
    return json_pack("{s:b, s:s?, s:o, s:b, s:b}", "memory", places.memory, "disk", files[places.disk], "redis",
                     places.redis < 0 ? json_null() : json_boolean(places.redis), "db", !meta->url, "object",
                     meta->url != NULL);
}

struct event {
    int64_t at_us;
    const char *name;
};

static int earlier_first(const void *a, const void *b)
{
    const struct event *one = a, *other = b;
    return one->at_us < other->at_us ? -1 : one->at_us > other->at_us;
}

/* What its times tell, in their order. */
static json_t *history_json(const struct image_meta *meta)
{
    struct event events[] = {
        {meta->mtime_ns / 1000, "file_written"},
        {meta->created_us, "created"},
        {meta->updated_us == meta->created_us ? 0 : meta->updated_us, "changed"},
        {meta->access_count ? meta->accessed_us : 0, "accessed"},
        {meta->deleted_us, "deleted"},
    };
    json_t *list = json_array();
    qsort(events, sizeof events / sizeof *events, sizeof *events, earlier_first);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i].at_us)
            json_array_append_new(
                list, json_pack("{s:o, s:s}", "at", describe_time(events[i].at_us), "event", events[i].name));
    return list;
}

void route_images_get(struct http_transaction *x)
{
    struct image_meta meta;
    struct store_page *page = numbered(x);
    if (!page)
        return;
    store_page_meta(page, 0, &meta);
    json_t *image = image_json(store_config(x->service->store), &meta);
    json_object_set_new(image, "encoding", meta.url ? json_null() : json_string("base64"));
    json_object_set_new(image, "tiers", places_json(x->service->store, &meta));
    json_object_set_new(image, "history", history_json(&meta));
    http_answer_json(x, 200, image);
    store_page_free(page);
}

void route_images_content(struct http_transaction *x)
{
    struct url_query query;
    struct image *image;
    struct error why;
    if (http_query(x, &query) < 0)
        return;
    const char *download = url_query_get(&query, "download");
    int r = store_row_read(x->service->store, http_tail_number(x), &image, &why);
    if (r < 0) {
        http_answer_error(x, "the image", &why);
    } else {
        const char *slash = strrchr(image->meta.key.path, '/');
        const char *name = slash ? slash + 1 : image->meta.key.path;
        image_answer_private(x, image, download && strcmp(download, "0") != 0 ? name : NULL);
    }
    url_query_release(&query);
}

/* Holds a request about the row to its conditions on the image's content. 0, or it is answered. */
static int conditions_hold(struct http_transaction *x, const struct image_meta *meta)
{
    char etag[CONDITIONAL_ETAG_SIZE];
    const struct conditional_current now = {conditional_etag(etag, meta->sha256), meta->mtime_ns / 1000000000};
    return image_conditions(x, CONDITIONAL_WRITE, &now);
}

/* For good. */
static void purge(struct http_transaction *x, const struct image_meta *meta)
{
    struct error why;
    int purged = 0;
    if (meta->deleted_us && store_purge(x->service->store, &meta->id, 1, &purged, &why) < 0)
        http_answer_error(x, NULL, &why);
    else if (purged)
        http_answer_empty(x, 204);
    else
        http_answer_problem(x, 409, "the image is not in the trash: delete it first, then purge it");
}

static int wants_purge(struct http_transaction *x, int *ret)
{
    struct url_query query;
    int r = http_query(x, &query);
    if (r < 0)
        return r;
    const char *value = url_query_get(&query, "purge");
    *ret = value && strcmp(value, "0") != 0;
    url_query_release(&query);
    return 0;
}

void route_images_delete(struct http_transaction *x)
{
    struct image_meta meta;
    int for_good;
    struct store_page *page = wants_purge(x, &for_good) < 0 ? NULL : numbered(x);
    if (!page)
        return;
    store_page_meta(page, 0, &meta);
    x->key = meta.key;
    if (!for_good)
        image_store_delete(x);
    else if (conditions_hold(x, &meta) == 0)
        purge(x, &meta);
    store_page_free(page);
}

/* As store_assign takes it: NULL when it was not given, "" when it is null. */
static const char *name_given(const json_t *arguments, const char *name)
{
    const json_t *value = json_object_get(arguments, name);
    return json_is_null(value) ? "" : json_string_value(value);
}

/* A change of what is known of an image: its entity, and whether it lies in the trash. */
static void change(struct http_transaction *x, const struct image_meta *meta, const json_t *arguments)
{
    struct store *store = x->service->store;
    const json_t *deleted = json_object_get(arguments, "deleted");
    const char *content_type = name_given(arguments, "content_type");
    const char *object_id = name_given(arguments, "object_id");
    const char *variant = name_given(arguments, "variant");
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

void route_images_patch(struct http_transaction *x)
{
    static const struct http_argument known[] = {
        {"content_type", HTTP_ARGUMENT_NAME},
        {"object_id", HTTP_ARGUMENT_NAME},
        {"variant", HTTP_ARGUMENT_NAME},
        {"deleted", HTTP_ARGUMENT_FLAG},
        {NULL, 0},
    };
    struct image_meta meta;
    json_t *arguments = http_arguments(x, known);
    struct store_page *page = arguments ? numbered(x) : NULL;
    if (page) {
        store_page_meta(page, 0, &meta);
        if (conditions_hold(x, &meta) == 0)
            change(x, &meta, arguments);
        store_page_free(page);
    }
    json_decref(arguments);
}
