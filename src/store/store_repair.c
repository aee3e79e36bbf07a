#include "client/db_grants.h"
#include "sql.h"
#include "store/store_tiers.h"

int store_count_again(struct store *store, int64_t *ret_days, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, &sql_count_again, NULL, &rows, e);
    if (r < 0)
        return r;
    *ret_days = db_int(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

int store_counters_are_wrong(struct store *store, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, &sql_count_suspect, NULL, &rows, e);
    if (r < 0)
        return r;
    r = (int)db_int(rows, 0, 0);
    db_result_free(rows);
    return r;
}

int store_advance_sequences(struct store *store, struct error *e)
{
    struct db_conn *conn;
    int r = db_get(store->pool, &conn, e);
    if (r < 0)
        return r;
    r = db_advance_sequences(conn, e);
    if (r < 0)
        r = db_name_grants(conn, r, e);
    db_put(conn);
    return r < 0 ? r : 0;
}

int store_correct_paths(struct store *store, int *ret_corrected, struct error *e)
{
    struct db_conn *conn;
    struct db_result *rows;
    int r = db_get(store->pool, &conn, e);
    if (r < 0)
        return r;
    r = db_query(conn, &sql_function_paths, NULL, &rows, e);
    if (r == 0) {
        int wrong = !db_is_null(rows, 0, 0);
        r = wrong ? db_script(conn, db_text(rows, 0, 0), e) : 0;
        db_result_free(rows);
        if (r == 0)
            *ret_corrected = wrong;
    }
    db_put(conn);
    return r;
}
