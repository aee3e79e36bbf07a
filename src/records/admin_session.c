#include "records/admin_session.h"

#include <errno.h>

#include "sql.h"
#include "store/store_tiers.h"

/* The one column of the one row. */
static int ask_expiry(struct store *store, const struct sql_query *query, const struct db_params *params,
                      int64_t *ret_us, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, query, params, &rows, e);
    if (r < 0)
        return r;
    if (db_rows(rows))
        *ret_us = db_time(rows, 0, 0);
    else
        r = error_set(e, -ENOENT, "the session has ended: log in again");
    db_result_free(rows);
    return r;
}

int admin_session_put(struct store *store, const struct admin_session_key *key, int64_t *ret_expires_us,
                      struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_bytes(&params, key->token, sizeof key->token);
    db_param_bytes(&params, key->with, sizeof key->with);
    db_param_int(&params, ADMIN_SESSION_LASTS_S);
    db_param_int(&params, ADMIN_SESSION_UNUSED_S);
    return ask_expiry(store, &sql_session_put, &params, ret_expires_us, e);
}

int admin_session_get(struct store *store, const struct admin_session_key *key, int64_t *ret_expires_us,
                      struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_bytes(&params, key->token, sizeof key->token);
    db_param_bytes(&params, key->with, sizeof key->with);
    db_param_int(&params, ADMIN_SESSION_UNUSED_S);
    return ask_expiry(store, &sql_session_get, &params, ret_expires_us, e);
}

int admin_session_end(struct store *store, const struct admin_session_key *key, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_bytes(&params, key->token, sizeof key->token);
    return store_query(store, &sql_session_end, &params, NULL, e);
}
