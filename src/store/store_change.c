/* Changes of one row that leave its bytes alone. */
#include <errno.h>

#include "sql.h"
#include "store/store_tiers.h"

/* `missing` tells why no row was found. */
static int change_row(struct store *store, const struct sql_query *query, const struct db_params *params,
                      const char *missing, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, query, params, &rows, e);
    if (r < 0)
        return r;
    r = db_rows(rows) ? 0 : error_set(e, -ENOENT, "%s", missing);
    db_result_free(rows);
    return r;
}

int store_undelete(struct store *store, const struct image_key *key, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, key->collection);
    db_param_text(&params, key->path);
    int r = change_row(store, &sql_image_untrash, &params, "is not in the trash", e);
    if (r == 0)
        (void)store_forget(store, key);
    return r;
}

int store_assign(struct store *store, const struct image_key *key, const char *content_type, const char *object_id,
                 const char *variant, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, key->collection);
    db_param_text(&params, key->path);
    db_param_text(&params, content_type);
    db_param_text(&params, object_id);
    db_param_text(&params, variant);
    int r = change_row(store, &sql_image_assign, &params, "is not stored", e);
    const struct image_meta entity = {.content_type = content_type, .object_id = object_id, .variant = variant};
    if (r == 0)
        (void)store_forget_image(store, key, &entity);
    return r;
}
