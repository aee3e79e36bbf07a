#include "store/store_search.h"

#include <stdio.h>
#include <string.h>

#include "fs/safepath.h"
#include "sql.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"

/* Before and behind every real point in time, and still one of PostgreSQL's: the years 1 and 9999. */
#define EARLIEST_US INT64_C(-62135596800000000)
#define LATEST_US   INT64_C(253402300799000000)

/* The columns of sql/image_search.inc behind those of every list. */
enum { COL_N = TIER_DB_META_COLUMNS, COL_IS_LAST, COL_IS_MEANT };

#define BOUND_SIZE (SAFEPATH_MAX + 8)

struct store_filter store_filter_any(void)
{
    return (struct store_filter){.max_size = INT64_MAX,
                                 .accessed_after_us = EARLIEST_US,
                                 .accessed_before_us = LATEST_US,
                                 .created_after_us = EARLIEST_US,
                                 .created_before_us = LATEST_US};
}

int store_filter_is_open(const struct store_filter *f)
{
    const struct store_filter any = store_filter_any();
    return !f->begin && !f->content_type && !f->object_id && !f->mime && f->min_size <= any.min_size &&
           f->max_size == any.max_size && f->accessed_after_us == any.accessed_after_us &&
           f->accessed_before_us == any.accessed_before_us && f->created_after_us == any.created_after_us &&
           f->created_before_us == any.created_before_us;
}

static int is_path(const struct store_filter *f)
{
    return f->begin && strchr(f->begin, '/') != NULL;
}

static const char *const states[] = {[STORE_LIVE] = "live", [STORE_TRASH] = "trash", [STORE_LARGE] = "large"};

/* $1 to $14 of all searches. */
static void add_filter(struct db_params *params, const struct store_filter *f, int limit)
{
    db_params_init(params);
    db_param_text(params, f->collection);
    db_param_text(params, states[f->state]);
    db_param_text(params, is_path(f) ? NULL : f->begin);
    db_param_text(params, f->begin);
    db_param_text(params, f->content_type);
    db_param_text(params, f->object_id);
    db_param_text(params, f->mime);
    db_param_int(params, f->min_size);
    db_param_int(params, f->max_size);
    db_param_time(params, f->accessed_after_us);
    db_param_time(params, f->accessed_before_us);
    db_param_time(params, f->created_after_us);
    db_param_time(params, f->created_before_us);
    db_param_int(params, limit);
}

/* Where a walk by path begins and before what it ends: only ASCII is added to what was asked for, which the database
 * can hold whatever its encoding. */
struct bounds {
    char from[BOUND_SIZE], to[BOUND_SIZE];
    char next_collection[IMAGE_COLLECTION_MAX + 8];
    const char *from_collection, *to_collection;
};

/* What sorts behind every path that begins with `begin`, which holds a '/': that, up to its last character of ASCII,
 * and the one behind this for it. Paths that begin as `begin` does up to there are examined for nothing. */
static void end_of(char ret[BOUND_SIZE], const char *begin)
{
    size_t n = strlen(begin);
    while (n > 1 && (unsigned char)begin[n - 1] >= 0x7f)
        n--;
    (void)snprintf(ret, BOUND_SIZE, "%.*s", (int)n, begin);
    ret[n - 1]++;
}

static void set_bounds(struct bounds *b, const struct store_filter *f, const struct image_meta *after)
{
    int of_folder = f->collection && is_path(f);
    b->from_collection = after ? after->key.collection : f->collection ? f->collection : "";
    b->to_collection = f->collection;
    b->to[0] = '\0';
    if (of_folder) {
        end_of(b->to, f->begin);
    } else if (f->collection) { /* before the first path of the next one that there may be */
        (void)snprintf(b->next_collection, sizeof b->next_collection, "%s\x01", f->collection);
        b->to_collection = b->next_collection;
    }
    if (after) /* the first one behind it */
        (void)snprintf(b->from, BOUND_SIZE, "%s\x01", after->key.path);
    else
        (void)snprintf(b->from, BOUND_SIZE, "%s", of_folder ? f->begin : "");
}

/* What a row is sorted by where that is a number. */
static int64_t number_of(enum store_order order, const struct image_meta *meta)
{
    switch (order) {
    case STORE_ORDER_HOTTEST:
        return meta->accessed_us;
    case STORE_ORDER_DELETED:
        return meta->deleted_us;
    case STORE_ORDER_LARGEST:
        return meta->size;
    case STORE_ORDER_PATH:
    case STORE_ORDER_NEWEST:
        break;
    }
    return 0;
}

/* Those of the most recently used begin where the filter does. */
static void add_hottest(struct db_params *params, const struct store_filter *f, const struct image_meta *after)
{
    int inside = after && after->accessed_us < f->accessed_before_us;
    db_param_time(params, inside ? after->accessed_us : f->accessed_before_us);
    db_param_int(params, inside ? after->access_count : INT64_MIN);
    db_param_int(params, inside ? after->id : 0);
}

static void add_largest(struct db_params *params, const struct store_filter *f, const struct image_meta *after)
{
    int inside = after && after->size <= f->max_size;
    db_param_int(params, inside ? after->size : f->max_size);
    db_param_int(params, inside ? after->id : INT64_MAX);
}

/* The rest of the parameters of the walk in that order. */
static const struct sql_query *add_walk(struct db_params *params, const struct store_filter *f, enum store_order order,
                                        const struct image_meta *after, struct bounds *bounds)
{
    switch (order) {
    case STORE_ORDER_HOTTEST:
        add_hottest(params, f, after);
        return &sql_image_search_hot;
    case STORE_ORDER_NEWEST:
        db_param_int(params, after ? after->id : INT64_MAX);
        return &sql_image_search_new;
    case STORE_ORDER_LARGEST:
        add_largest(params, f, after);
        return &sql_image_search_size;
    case STORE_ORDER_DELETED:
        db_param_time(params, after ? after->deleted_us : LATEST_US);
        db_param_int(params, after ? after->id : INT64_MAX);
        return &sql_image_search_trash;
    case STORE_ORDER_PATH:
        break;
    }
    set_bounds(bounds, f, after);
    db_param_text(params, bounds->from_collection);
    db_param_text(params, bounds->from);
    db_param_text(params, bounds->to_collection);
    db_param_text(params, bounds->to);
    return &sql_image_search_path;
}

static const struct sql_query *add_few(struct db_params *params, const struct store_filter *f, enum store_order order,
                                       const struct image_meta *after, struct bounds *bounds)
{
    static const char *const orders[] = {"path", "hottest", "newest", "largest", "deleted"};
    set_bounds(bounds, f, after);
    db_param_text(params, orders[order]);
    db_param_int(params, after ? number_of(order, after) : INT64_MAX);
    db_param_int(params, after && order == STORE_ORDER_HOTTEST ? after->access_count : after ? 0 : INT64_MAX);
    db_param_int(params, after ? after->id : INT64_MAX);
    db_param_text(params, bounds->from_collection);
    db_param_text(params, bounds->from);
    return &sql_image_search_few;
}

/* Whether the filter means few rows by an index, of another order. */
static int are_few(struct store *store, const struct store_filter *f, enum store_order order, int *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    *ret = 0;
    if (!f->content_type && (f->state == STORE_LIVE || order == STORE_ORDER_DELETED))
        return 0;
    db_params_init(&params);
    db_param_text(&params, f->content_type);
    db_param_text(&params, f->object_id);
    db_param_text(&params, states[f->state]);
    int r = store_query(store, &sql_image_search_few_count, &params, &rows, e);
    if (r < 0)
        return r;
    *ret = db_int(rows, 0, 0) <= STORE_SEARCH_EXAMINED;
    db_result_free(rows);
    return 0;
}

static void look_at(const struct db_result *rows, struct store_found *ret)
{
    int count = db_rows(rows), last = count - 1;
    *ret = (struct store_found){.page = (struct store_page *)rows, .count = count};
    if (!count)
        return;
    ret->count -= !db_int(rows, last, COL_IS_MEANT);
    ret->examined = db_int(rows, last, COL_N);
    ret->more = !db_int(rows, last, COL_IS_LAST);
    tier_db_meta(rows, last, &ret->last);
}

int store_search(struct store *store, const struct store_filter *filter, enum store_order order,
                 const struct image_meta *after, int limit, struct store_found *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    struct bounds bounds;
    int few;
    int r = are_few(store, filter, order, &few, e);
    if (r < 0)
        return r;
    add_filter(&params, filter, limit);
    const struct sql_query *query =
        few ? add_few(&params, filter, order, after, &bounds) : add_walk(&params, filter, order, after, &bounds);
    r = store_query(store, query, &params, &rows, e);
    if (r == 0)
        look_at(rows, ret);
    return r;
}

int store_total(struct store *store, const struct store_filter *filter, int64_t *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, filter->collection);
    int r = store_query(store, &sql_image_total, &params, &rows, e);
    if (r < 0)
        return r;
    *ret = db_int(rows, 0, filter->state == STORE_LIVE ? 0 : filter->state == STORE_LARGE ? 1 : 2);
    db_result_free(rows);
    return 0;
}
