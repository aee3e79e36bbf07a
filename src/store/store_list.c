/* Listing what is stored. None of these queries touches image_data. */
#include <errno.h>

#include "base/utf8.h"
#include "client/db_fault.h"
#include "fs/safepath.h"
#include "sql.h"
#include "store/entity_cache.h"
#include "store/redis_fill.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_redis.h"

/* Behind every real value of its kind: where a descending list begins. */
#define LATEST_US INT64_C(9000000000000000) /* in the year 2255 */

/* A page is a query's result under a name that does not tell the layers above about the database. */
static const struct db_result *rows_of(const struct store_page *page)
{
    return (const struct db_result *)page;
}

int store_page_count(const struct store_page *page)
{
    return db_rows(rows_of(page));
}

void store_page_meta(const struct store_page *page, int index, struct image_meta *ret)
{
    tier_db_meta(rows_of(page), index, ret);
}

void store_page_free(struct store_page *page)
{
    db_result_free((struct db_result *)page);
}

static int query_page_within(struct store *store, const struct sql_query *query, const struct db_params *params,
                             int lock_ms, struct store_page **ret, struct error *e)
{
    struct db_result *rows;
    int r = store_query_within(store, query, params, lock_ms, &rows, e);
    if (r == 0)
        *ret = (struct store_page *)rows;
    return r;
}

static int query_page(struct store *store, const struct sql_query *query, const struct db_params *params,
                      struct store_page **ret, struct error *e)
{
    return query_page_within(store, query, params, 0, ret, e);
}

/* -ENOENT when there is no row. */
static int query_some(struct store *store, const struct sql_query *query, const struct db_params *params,
                      struct store_page **ret, struct error *e)
{
    struct store_page *page = NULL;
    int r = query_page(store, query, params, &page, e);
    if (r < 0)
        return r;
    if (!store_page_count(page)) {
        store_page_free(page);
        return error_set(e, -ENOENT, "is not stored");
    }
    *ret = page;
    return 0;
}

int store_info(struct store *store, const struct image_key *key, struct store_page **ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, key->collection);
    db_param_text(&params, key->path);
    return query_some(store, &sql_image_info, &params, ret, e);
}

int store_entity(struct store *store, const char *content_type, const char *object_id, const char *variant, int limit,
                 struct store_page **ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, content_type);
    db_param_text(&params, object_id);
    db_param_text(&params, variant);
    db_param_int(&params, limit);
    return query_some(store, &sql_image_entity, &params, ret, e);
}

int store_entity_hot(struct store *store, const char *content_type, const char *object_id, const char *variant,
                     char name[IMAGE_NAME_SIZE], struct image_key *ret)
{
    int r = entity_cache_find(store->entities, &(struct entity){content_type, object_id, variant}, name);
    if (r == 0)
        *ret = image_key_named(name);
    return r;
}

int store_entity_key(struct store *store, const char *content_type, const char *object_id, const char *variant,
                     char name[IMAGE_NAME_SIZE], struct image_key *ret, struct error *e)
{
    uint64_t forgets = store->forgets;
    struct redis_fill_since since = {0};
    struct store_page *page;
    struct image_meta meta;
    if (store->redis)
        since = redis_fill_now(store);
    int r = store_entity(store, content_type, object_id, variant, 1, &page, e);
    if (db_unavailable(r) && store->redis &&
        tier_redis_resolve(store->redis, content_type, object_id, variant, name, NULL) == 0) {
        *ret = image_key_named(name);
        return 0;
    }
    if (r == DB_BAD_ENCODING && !(utf8_is_ascii(content_type) && utf8_is_ascii(object_id) && utf8_is_ascii(variant)))
        return error_set(e, -ENOENT, "is not stored: the database's encoding cannot hold the entity's names");
    if (r < 0)
        return r;
    store_page_meta(page, 0, &meta);
    (void)image_key_name(&meta.key, name);
    *ret = image_key_named(name);
    if (store->redis)
        store_fetch_share(store->fetch, &meta, &since);
    store_page_free(page);
    entity_cache_add(store->entities, &(struct entity){content_type, object_id, variant}, ret, forgets);
    return 0;
}

int store_list_by_path(struct store *store, const char *collection, const char *prefix, int lock_ms,
                       const struct image_meta *after, int limit, struct store_page **ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, collection);
    db_param_text(&params, after ? after->key.path : "");
    db_param_text(&params, prefix);
    db_param_int(&params, limit);
    return query_page_within(store, &sql_image_list_path, &params, lock_ms, ret, e);
}

/* For store_list_*: the caller releases it, also after -ENOMEM. */
static int init_names(struct db_array *names, const char *const *collections, struct error *e)
{
    int r = 0;
    db_array_init(names, DB_TEXT, 1 << 16);
    for (size_t i = 0; collections[i] && r == 0; i++)
        r = db_array_add_text(names, collections[i]);
    return r < 0 ? error_set_sentence(e, r, "out of memory") : 0;
}

int store_list_hottest(struct store *store, const char *const *collections, const struct image_meta *after, int limit,
                       struct store_page **ret, struct error *e)
{
    struct db_params params;
    struct db_array names;
    int r = init_names(&names, collections, e);
    if (r == 0) {
        db_params_init(&params);
        db_param_array(&params, &names);
        db_param_time(&params, after ? after->accessed_us : LATEST_US);
        db_param_int(&params, after ? after->access_count : INT64_MAX);
        db_param_int(&params, after ? after->id : INT64_MAX);
        db_param_int(&params, limit);
        r = query_page(store, &sql_image_list_hot, &params, ret, e);
    }
    db_array_release(&names);
    return r;
}

int store_list_cleaned(struct store *store, const char *const *collections, int64_t after, int limit,
                       struct store_page **ret, struct error *e)
{
    struct db_params params;
    struct db_array names;
    int r = init_names(&names, collections, e);
    if (r == 0) {
        db_params_init(&params);
        db_param_array(&params, &names);
        db_param_int(&params, after);
        db_param_int(&params, limit);
        r = query_page(store, &sql_image_list_cleaned, &params, ret, e);
    }
    db_array_release(&names);
    return r;
}

int store_list_trash(struct store *store, const char *collection, const struct image_meta *after, int limit,
                     struct store_page **ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, collection);
    db_param_time(&params, after ? after->deleted_us : LATEST_US);
    db_param_int(&params, after ? after->id : INT64_MAX);
    db_param_int(&params, limit);
    return query_page(store, &sql_image_list_trash, &params, ret, e);
}

int store_list_by_id(struct store *store, int64_t after, int limit, struct store_page **ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, after);
    db_param_int(&params, limit);
    return query_page(store, &sql_image_list_id, &params, ret, e);
}

int store_lookup(struct store *store, const char *collection, const char *const *paths, int count, int lock_ms,
                 int *ret_rows, struct store_page **ret, struct error *e)
{
    struct db_array wanted;
    int r = 0;
    db_array_init(&wanted, DB_TEXT, (size_t)count * (SAFEPATH_MAX + 8));
    for (int i = 0; i < count && r == 0; i++)
        r = db_array_add_text(&wanted, paths[i]);
    if (r < 0) {
        error_set_sentence(e, r, "out of memory");
        goto done;
    }
    struct db_params params;
    struct store_page *page = NULL;
    db_params_init(&params);
    db_param_text(&params, collection);
    db_param_array(&params, &wanted);
    r = query_page_within(store, &sql_image_lookup, &params, lock_ms, &page, e);
    if (r < 0)
        goto done;
    for (int i = 0; i < count; i++)
        ret_rows[i] = -1;
    for (int row = 0; row < store_page_count(page); row++)
        ret_rows[db_int(rows_of(page), row, TIER_DB_META_COLUMNS) - 1] = row;
    *ret = page;
done:
    db_array_release(&wanted);
    return r;
}
