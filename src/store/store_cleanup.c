#include <errno.h>

#include "sql.h"
#include "store/store_tiers.h"

#define BATCH 1000

/* Runs a query that answers with a number of images and their bytes, in its first two columns. */
static int query_tally(struct store *store, const struct sql_query *query, const struct db_params *params,
                       struct store_tally *ret, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, query, params, &rows, e);
    if (r < 0)
        return r;
    *ret = (struct store_tally){db_int(rows, 0, 0), db_int(rows, 0, 1)};
    db_result_free(rows);
    return 0;
}

int store_cleanup_cold(struct store *store, int days, int64_t *ret_limit_us, struct store_tally *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, days);
    int r = store_query(store, &sql_cleanup_count, &params, &rows, e);
    if (r < 0)
        return r;
    *ret_limit_us = db_time(rows, 0, 0);
    *ret = (struct store_tally){db_int(rows, 0, 1), db_int(rows, 0, 2)};
    db_result_free(rows);
    return 0;
}

int store_cleanup_old(struct store *store, struct store_tally *ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, store->config->trash_days);
    return query_tally(store, &sql_trash_count, &params, ret, e);
}

int store_cleanup_trash(struct store *store, int64_t limit_us, struct store_tally *ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_time(&params, limit_us);
    db_param_int(&params, BATCH);
    return query_tally(store, &sql_cleanup_trash, &params, ret, e);
}

int store_cleanup_purge(struct store *store, struct store_tally *ret, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, store->config->trash_days);
    db_param_int(&params, BATCH);
    int r = query_tally(store, &sql_trash_purge, &params, ret, e);
    if (r == 0 && !ret->images)
        r = store_query(store, &sql_tombstone_purge, NULL, NULL, e);
    if (r == 0 && !ret->images)
        r = store_query(store, &sql_invalidation_purge, NULL, NULL, e);
    if (r == 0 && !ret->images)
        r = store_query(store, &sql_job_purge, NULL, NULL, e);
    return r;
}
