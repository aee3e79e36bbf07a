#include "store/store_row.h"

#include <errno.h>
#include <string.h>

#include "sql.h"
#include "store/store_object.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_memory.h"
#include "tier/tier_redis.h"

#define ID_BYTES 16 /* at most, of one in an array */

static int query_ids(struct store *store, const struct sql_query *query, const int64_t *ids, int count,
                     struct db_result **ret, struct error *e)
{
    struct db_params params;
    struct db_array array;
    int r = 0;
    db_array_init(&array, DB_INT8, (size_t)count * ID_BYTES);
    for (int i = 0; i < count && r == 0; i++)
        r = db_array_add_int(&array, ids[i]);
    if (r == 0) {
        db_params_init(&params);
        db_param_array(&params, &array);
        r = store_query(store, query, &params, ret, e);
    } else {
        error_set_sentence(e, r, "out of memory");
    }
    db_array_release(&array);
    return r;
}

/* What the row holds, or else what it names. */
static int read_bytes(struct store *store, const struct db_result *rows, struct image **ret, struct error *e)
{
    struct image *image;
    int r = tier_db_image(rows, 0, &image, e);
    if (r < 0)
        return r;
    if (image_is_linked(image)) {
        r = store_fetch_unnamed(store, &image->meta, NULL, ret, e);
        image_unref(image);
        return r;
    }
    r = image_verify(&image->meta, image->bytes, (size_t)image->meta.size, e);
    if (r == 0)
        *ret = image;
    else
        image_unref(image);
    return r;
}

_Static_assert(STORE_ROW_COLUMNS == TIER_DB_META_COLUMNS, "as the tier reads them");

void store_row_meta(const struct db_result *rows, int row, struct image_meta *ret)
{
    tier_db_meta(rows, row, ret);
}

int store_row_read(struct store *store, int64_t id, struct image **ret, struct error *e)
{
    struct db_result *rows;
    int r = query_ids(store, &sql_image_fetch, &id, 1, &rows, e);
    if (r < 0)
        return r;
    r = db_rows(rows) ? read_bytes(store, rows, ret, e) : error_set(e, -ENOENT, "is not stored");
    db_result_free(rows);
    return r;
}

int store_rows(struct store *store, const int64_t *ids, int count, struct store_page **ret, struct error *e)
{
    struct db_result *rows;
    int r = query_ids(store, &sql_image_list_ids, ids, count, &rows, e);
    if (r == 0)
        *ret = (struct store_page *)rows;
    return r;
}

int store_deleted(struct store *store, const int64_t *ids, int count, int64_t *ret, struct error *e)
{
    struct db_result *rows;
    int r = query_ids(store, &sql_image_deleted, ids, count, &rows, e);
    if (r < 0)
        return r;
    int deleted = db_rows(rows);
    for (int i = 0; i < deleted; i++)
        ret[i] = db_int(rows, i, 0);
    db_result_free(rows);
    return deleted;
}

static int is_in_memory(struct store *store, const struct image_meta *row)
{
    struct memory_hit hit;
    if (!store->memory || tier_memory_find(store->memory, &row->key, &hit) < 0)
        return 0;
    int is = memcmp(hit.image->meta.sha256, row->sha256, sizeof row->sha256) == 0;
    memory_hit_release(&hit);
    return is;
}

void store_row_places(struct store *store, const struct image_meta *row, struct store_places *ret)
{
    int file = store_file_matches(store, row);
    int redis = store->redis ? tier_redis_has(store->redis, &row->key, NULL) : -ENODEV;
    *ret = (struct store_places){
        .memory = is_in_memory(store, row),
        .disk = file == 1         ? STORE_FILE_CURRENT
                : file == 0       ? STORE_FILE_CHANGED
                : file == -ENOENT ? STORE_FILE_MISSING
                                  : STORE_FILE_UNKNOWN,
        .redis = redis < 0 ? -1 : redis,
    };
}

int store_purge(struct store *store, const int64_t *ids, int count, int *ret, struct error *e)
{
    struct db_result *rows;
    int r = query_ids(store, &sql_image_purge, ids, count, &rows, e);
    if (r < 0)
        return r;
    *ret = db_rows(rows);
    db_result_free(rows);
    return 0;
}
