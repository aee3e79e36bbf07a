/* What is stored, as lists. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/image_json.h"
#include "api/image_search.h"
#include "api/paging.h"
#include "api/routes.h"
#include "base/clock.h"
#include "codec/url.h"
#include "fs/safepath.h"
#include "store/store_search.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define LOOK_US      12000
#define EXAMINED_MAX 10000
#define LATEST_US    INT64_C(253402300799000000) /* the end of the year 9999 */
#define CURSOR_SIZE  (IMAGE_COLLECTION_MAX + SAFEPATH_MAX + 32)

static const char *const orders[] = {
    [STORE_ORDER_PATH] = "path",       [STORE_ORDER_HOTTEST] = "hottest", [STORE_ORDER_NEWEST] = "newest",
    [STORE_ORDER_LARGEST] = "largest", [STORE_ORDER_DELETED] = "deleted",
};

struct images_listing {
    struct store_filter filter;
    enum store_order order;
    int limit;
    struct image_meta after; /* where the page before ended; id -1: there was none */
    char collection[IMAGE_COLLECTION_MAX + 1];
};

/* The trash has no order by use; its own is what comes of that. */
static int read_order(struct images_listing *l, const char *text, struct error *e)
{
    int is_trash = l->filter.state == STORE_TRASH;
    size_t i = is_trash ? STORE_ORDER_DELETED : STORE_ORDER_PATH;
    if (text)
        for (i = 0; i < sizeof orders / sizeof *orders; i++)
            if (strcmp(text, orders[i]) == 0)
                break;
    if (i == sizeof orders / sizeof *orders || (i == STORE_ORDER_DELETED && !is_trash))
        return error_set(e, -EINVAL, "order has to be path, hottest, newest or largest; the trash has deleted");
    l->order = is_trash && i == STORE_ORDER_HOTTEST ? STORE_ORDER_DELETED : (enum store_order)i;
    return 0;
}

/* "<bytes of the collection's name>:<collection><path>" in a list of several collections, else the path. */
static int read_path_cursor(struct images_listing *l, const char *text)
{
    l->after = (struct image_meta){.key = {l->filter.collection, text}};
    if (!l->filter.collection) {
        char *end;
        long n = strtol(text, &end, 10);
        if (end == text || *end != ':' || n < 0 || n > IMAGE_COLLECTION_MAX || strnlen(end + 1, (size_t)n) < (size_t)n)
            return -EINVAL;
        (void)snprintf(l->collection, sizeof l->collection, "%.*s", (int)n, end + 1);
        l->after.key = (struct image_key){l->collection, end + 1 + n};
    }
    return strlen(l->after.key.path) <= SAFEPATH_MAX ? 0 : -EINVAL;
}

/* "<number>.<accesses>.<id>" in the other orders; the number is what is sorted by. */
static int read_number_cursor(struct images_listing *l, const char *text)
{
    long long numbers[3];
    for (int i = 0; i < 3; i++) {
        char *end;
        numbers[i] = strtoll(text, &end, 10);
        if (end == text || *end != (i < 2 ? '.' : '\0'))
            return -EINVAL;
        text = end + 1;
    }
    l->after = (struct image_meta){.id = numbers[2], .access_count = numbers[1]};
    l->after.size = l->after.accessed_us = l->after.deleted_us = numbers[0];
    int is_time = l->order == STORE_ORDER_HOTTEST || l->order == STORE_ORDER_DELETED;
    return numbers[2] < 0 || (is_time && (numbers[0] > LATEST_US || numbers[0] < -LATEST_US)) ? -EINVAL : 0;
}

static int read_cursor(struct images_listing *l, const char *text, struct error *e)
{
    l->after.id = -1;
    if (!text || !*text)
        return 0;
    int r = l->order == STORE_ORDER_PATH ? read_path_cursor(l, text) : read_number_cursor(l, text);
    return r < 0 ? error_set(e, r, "the cursor is none of ours") : 0;
}

static int read_listing(struct images_listing *l, const struct url_query *query, struct error *e)
{
    int r = image_search_query(query, &l->filter, e);
    if (r == 0)
        r = paging_limit(query, PAGE_DEFAULT, PAGE_MAX, &l->limit, e);
    if (r == 0)
        r = read_order(l, url_query_get(query, "order"), e);
    if (r == 0)
        r = read_cursor(l, url_query_get(query, "cursor"), e);
    return r;
}

static json_t *cursor_json(const struct images_listing *l, const struct store_found *found)
{
    const struct image_meta *last = &found->last;
    char text[CURSOR_SIZE];
    long long number = l->order == STORE_ORDER_HOTTEST   ? last->accessed_us
                       : l->order == STORE_ORDER_DELETED ? last->deleted_us
                       : l->order == STORE_ORDER_LARGEST ? last->size
                                                         : 0;
    if (!found->more)
        return json_null();
    if (l->order != STORE_ORDER_PATH)
        (void)snprintf(text, sizeof text, "%lld.%lld.%lld", number, (long long)last->access_count, (long long)last->id);
    else if (l->filter.collection)
        (void)snprintf(text, sizeof text, "%s", last->key.path);
    else
        (void)snprintf(text, sizeof text, "%zu:%s%s", strlen(last->key.collection), last->key.collection,
                       last->key.path);
    return json_string(text);
}

/* Null where it would have to be counted. -errno: the database does not tell. */
static int read_total(struct store *store, const struct store_filter *filter, json_t **ret, struct error *e)
{
    int64_t total = 0;
    int is_open = store_filter_is_open(filter);
    int r = is_open ? store_total(store, filter, &total, e) : 0;
    if (r == 0)
        *ret = is_open ? json_integer(total) : json_null();
    return r;
}

static void add_images(json_t *images, const struct config *config, const struct store_found *found)
{
    struct image_meta meta;
    for (int i = 0; i < found->count; i++) {
        store_page_meta(found->page, i, &meta);
        json_array_append_new(images, image_json(config, &meta));
    }
}

/* Goes on searching until the page is full, or it has taken long enough. The last one found is to be freed. */
static int search(struct store *store, const struct images_listing *l, json_t *images, int64_t *ret_examined,
                  struct store_found *ret, struct error *e)
{
    const struct image_meta *after = l->after.id < 0 ? NULL : &l->after;
    int64_t until_us = clock_monotonic_us() + LOOK_US, examined = 0;
    struct store_found found = {0};
    do {
        struct store_page *before = found.page; /* that `after` borrows from */
        int r = store_search(store, &l->filter, l->order, after, l->limit - (int)json_array_size(images), &found, e);
        store_page_free(before);
        if (r < 0)
            return r;
        add_images(images, store_config(store), &found);
        examined += found.examined;
        after = &found.last;
    } while (found.more && json_array_size(images) < (size_t)l->limit && clock_monotonic_us() < until_us &&
             examined + STORE_SEARCH_EXAMINED <= EXAMINED_MAX);
    *ret_examined = examined;
    *ret = found;
    return 0;
}

static int find(struct store *store, const struct images_listing *l, json_t **ret, struct error *e)
{
    struct store_found found;
    json_t *total = NULL, *images = json_array();
    int64_t examined;
    int r = read_total(store, &l->filter, &total, e);
    if (r < 0) {
        json_decref(images);
        return r;
    }
    r = search(store, l, images, &examined, &found, e);
    if (r < 0) {
        json_decref(images);
        json_decref(total);
        return r;
    }
    *ret = json_pack("{s:o, s:o, s:o, s:I, s:s}", "images", images, "cursor", cursor_json(l, &found), "total", total,
                     "examined", (json_int_t)examined, "order", orders[l->order]);
    store_page_free(found.page);
    return 0;
}

void route_images_list(struct http_transaction *x)
{
    struct url_query query;
    struct images_listing l;
    struct error why;
    json_t *body;
    if (http_query(x, &query) < 0)
        return;
    int r = read_listing(&l, &query, &why);
    if (r == 0)
        r = find(x->service->store, &l, &body, &why);
    if (r == 0)
        http_answer_json(x, 200, body);
    else
        http_answer_error(x, NULL, &why);
    url_query_release(&query);
}
