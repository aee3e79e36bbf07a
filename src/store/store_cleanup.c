#include <errno.h>

#include "sql.h"
#include "store/store_tiers.h"

#define BATCH 1000

/* Runs a query that answers with a number of images and their bytes, in columns `col` and `col + 1`. */
static int query_tally(struct store *store, const struct sql_query *query, const struct db_params *params, int col,
                       struct store_tally *ret, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, query, params, &rows, e);
    if (r < 0)
        return r;
    *ret = (struct store_tally){db_int(rows, 0, col), db_int(rows, 0, col + 1)};
    db_result_free(rows);
    return 0;
}

int store_cleanup_count(struct store *store, int days, struct store_cleanup *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, days);
    int r = store_query(store, &sql_cleanup_count, &params, &rows, e);
    if (r < 0)
        return r;
    struct store_cleanup found = {.limit_us = db_time(rows, 0, 0), .cold = {db_int(rows, 0, 1), db_int(rows, 0, 2)}};
    db_result_free(rows);

    db_params_init(&params);
    db_param_int(&params, STORE_TRASH_DAYS);
    r = query_tally(store, &sql_trash_count, &params, 0, &found.old, e);
    if (r == 0)
        *ret = found;
    return r;
}

int store_cleanup_trash(struct store *store, int64_t limit_us, struct store_tally *ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_time(&params, limit_us);
    db_param_int(&params, BATCH);
    return query_tally(store, &sql_cleanup_trash, &params, 0, ret, e);
}

int store_cleanup_purge(struct store *store, struct store_tally *ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, STORE_TRASH_DAYS);
    db_param_int(&params, BATCH);
    int r = query_tally(store, &sql_trash_purge, &params, 0, ret, e);
    if (r == 0 && !ret->images)
        r = store_query(store, &sql_tombstone_purge, NULL, NULL, e);
    if (r == 0 && !ret->images)
        r = store_query(store, &sql_invalidation_purge, NULL, NULL, e);
    if (r == 0 && !ret->images)
        r = store_query(store, &sql_job_purge, NULL, NULL, e);
    return r;
}
