#include "store/store_cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "config/config.h"
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

int store_cleanup_trash(struct store *store, int64_t limit_us, int64_t unchanged_us, struct store_tally *ret,
                        struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_time(&params, limit_us);
    db_param_int(&params, BATCH);
    db_param_time(&params, unchanged_us);
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

int store_cleaning_begin(struct store *store, int64_t *ret_at_us, struct error *e)
{
    char host[256] = "";
    struct db_result *rows;
    struct db_params params;
    (void)gethostname(host, sizeof host - 1);
    db_params_init(&params);
    db_param_text(&params, host);
    int r = store_query(store, &sql_cleanup_begin, &params, &rows, e);
    if (r < 0)
        return r;
    *ret_at_us = db_time(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

int store_uses_waiting(struct store *store, int64_t at_us, int64_t *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_time(&params, at_us);
    int r = store_query(store, &sql_use_waiting, &params, &rows, e);
    if (r < 0)
        return r;
    *ret = db_int(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

int store_uses_unknown(struct store *store, enum store_uses uses, char ret[STORE_ERROR_SIZE], int64_t *ret_instances,
                       struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, uses == STORE_USES_NOW);
    int r = store_query(store, &sql_use_unknown, &params, &rows, e);
    if (r < 0)
        return r;
    const char *host = db_text(rows, 0, 1), *why = db_text(rows, 0, 2);
    *ret = '\0';
    *ret_instances = db_int(rows, 0, 0);
    if (host)
        (void)snprintf(ret, STORE_ERROR_SIZE, "on %.64s, %.180s", host,
                       why ? why : "an instance has not noted the uses of its files");
    db_result_free(rows);
    return 0;
}

int store_cleaning_check(struct store *store, int64_t at_us, const char *unknown, int64_t *ret_since_us,
                         struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_time(&params, at_us);
    db_param_text(&params, *unknown ? unknown : NULL);
    db_param_int(&params, store->config->cleanup_days);
    int r = store_query(store, &sql_cleanup_check, &params, &rows, e);
    if (r < 0)
        return r;
    *ret_since_us = db_rows(rows) ? db_time(rows, 0, 0) : 0;
    db_result_free(rows);
    return 0;
}

int store_cleaning_due(struct store *store, int64_t at_us, int64_t *ret_limit_us, int64_t *ret_unchanged_us,
                       struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_time(&params, at_us);
    int r = store_query(store, &sql_cleanup_due, &params, &rows, e);
    if (r < 0)
        return r;
    r = db_rows(rows) ? 0 : -ENOENT;
    if (r == 0) {
        *ret_limit_us = db_time(rows, 0, 0);
        *ret_unchanged_us = db_time(rows, 0, 1);
    }
    db_result_free(rows);
    return r;
}

int store_cleanup_status(struct store *store, struct store_cleanup_status *ret, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, &sql_cleanup_status, NULL, &rows, e);
    if (r < 0)
        return r;
    const char *why = db_text(rows, 0, 2);
    *ret = (struct store_cleanup_status){.at_us = db_time(rows, 0, 0),
                                         .use_since_us = db_time(rows, 0, 1),
                                         .days = db_is_null(rows, 0, 3) ? 0 : db_int(rows, 0, 3),
                                         .announced = db_int(rows, 0, 4),
                                         .announced_from_us = db_time(rows, 0, 5),
                                         .cleaned_up = db_int(rows, 0, 6),
                                         .undecided = db_int(rows, 0, 7)};
    (void)snprintf(ret->use_error, sizeof ret->use_error, "%s", why ? why : "");
    db_result_free(rows);
    return 0;
}

int store_untrash_cleaned(struct store *store, const int64_t *ids, int count, int64_t *ret, struct error *e)
{
    struct db_array wanted;
    struct db_result *rows;
    struct db_params params;
    int r = 0;
    *ret = 0;
    if (!count)
        return 0;
    db_array_init(&wanted, DB_INT8, (size_t)count * 16 + 64);
    for (int i = 0; r == 0 && i < count; i++)
        r = db_array_add_int(&wanted, ids[i]);
    if (r < 0) {
        error_set(e, r, "out of memory");
        goto done;
    }
    db_params_init(&params);
    db_param_array(&params, &wanted);
    r = store_query(store, &sql_image_untrash_cleaned, &params, &rows, e);
    if (r == 0) {
        *ret = db_rows(rows);
        db_result_free(rows);
    }
done:
    db_array_release(&wanted);
    return r;
}
