/* Many images out of PostgreSQL over one connection: the next batch is asked for before the last one is used, so that
 * the server never waits for us. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql.h"
#include "tier/tier_db.h"

struct tier_db_reader {
    struct db_pool *pool;
    struct db_conn *conn; /* NULL after the database was given up */
    int patience_ms;
    int first, waiting;
    struct db_array asked[TIER_DB_READ_AHEAD]; /* a ring of ids; kept until received, to be sent again if need be */
};

int tier_db_reader_open(struct tier_db *db, int patience_ms, struct tier_db_reader **ret, struct error *e)
{
    struct tier_db_reader *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, -ENOMEM, "out of memory");
    r->pool = tier_db_pool(db);
    r->patience_ms = patience_ms;
    int code = db_get_again(r->pool, &r->conn, clock_monotonic_ms() + patience_ms, e);
    if (code < 0) {
        free(r);
        return code;
    }
    for (int i = 0; i < TIER_DB_READ_AHEAD; i++)
        db_array_init(&r->asked[i], DB_INT8, TIER_DB_BATCH_IMAGES * 12);
    *ret = r;
    return 0;
}

static struct db_array *asked_at(struct tier_db_reader *r, int index)
{
    return &r->asked[(r->first + index) % TIER_DB_READ_AHEAD];
}

static int send_request(struct tier_db_reader *r, struct db_array *ids, struct error *e)
{
    struct db_params params;
    if (!r->conn)
        return error_set(e, -ENOTCONN, "the database connection was lost");
    db_params_init(&params);
    db_param_array(&params, ids);
    return db_send(r->conn, &sql_image_fetch, &params, e);
}

/* A new connection, and on it everything that was under way. */
static int mend(struct tier_db_reader *r, int64_t deadline_ms, struct error *e)
{
    for (;;) {
        int code = db_reconnect(&r->conn, r->pool, deadline_ms, e);
        for (int i = 0; i < r->waiting && code == 0; i++)
            code = send_request(r, asked_at(r, i), e);
        if (!db_unavailable(code) || !r->conn || !clock_left_ms(deadline_ms))
            return code;
    }
}

int tier_db_reader_ask(struct tier_db_reader *r, const int64_t *ids, int count, struct error *e)
{
    assert(r->waiting < TIER_DB_READ_AHEAD && count > 0 && count <= TIER_DB_BATCH_IMAGES);
    struct db_array *asked = asked_at(r, r->waiting);
    db_array_reset(asked);
    for (int i = 0; i < count; i++)
        if (db_array_add_int(asked, ids[i]) < 0)
            return error_set(e, -ENOMEM, "out of memory");
    int code = send_request(r, asked, e);
    r->waiting++;
    if (db_unavailable(code) && r->conn)
        code = mend(r, clock_monotonic_ms() + r->patience_ms, e);
    return code;
}

int tier_db_reader_receive(struct tier_db_reader *r, struct db_result **ret, struct error *e)
{
    assert(r->waiting > 0);
    int64_t deadline_ms = clock_monotonic_ms() + r->patience_ms;
    int code = r->conn ? db_recv(r->conn, ret, e) : error_set(e, -ENOTCONN, "the database connection was lost");
    while (db_unavailable(code) && r->conn && clock_left_ms(deadline_ms)) {
        code = mend(r, deadline_ms, e);
        if (code == 0)
            code = db_recv(r->conn, ret, e);
    }
    r->first = (r->first + 1) % TIER_DB_READ_AHEAD;
    r->waiting--;
    return code;
}

void tier_db_reader_close(struct tier_db_reader *r)
{
    if (!r)
        return;
    db_put(r->conn);
    for (int i = 0; i < TIER_DB_READ_AHEAD; i++)
        db_array_release(&r->asked[i]);
    free(r);
}
