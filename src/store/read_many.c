#include "store/read_many.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"

struct read_many {
    struct db_pool *pool;
    struct db_conn *conn; /* NULL after the database was given up */
    int patience_ms;
    int first, waiting;
    struct db_array asked[READ_MANY_AHEAD]; /* a ring of ids; kept until received, to be sent again if need be */
};

int read_many_open(struct store *store, int patience_ms, struct read_many **ret, struct error *e)
{
    struct read_many *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, -ENOMEM, "out of memory");
    r->pool = store->pool;
    r->patience_ms = patience_ms;
    int code = db_get_again(r->pool, &r->conn, clock_monotonic_ms() + patience_ms, e);
    if (code < 0) {
        free(r);
        return code;
    }
    for (int i = 0; i < READ_MANY_AHEAD; i++)
        db_array_init(&r->asked[i], DB_INT8, READ_MANY_IMAGES * 12);
    *ret = r;
    return 0;
}

static struct db_array *asked_at(struct read_many *r, int index)
{
    return &r->asked[(r->first + index) % READ_MANY_AHEAD];
}

static int send_request(struct read_many *r, struct db_array *ids, struct error *e)
{
    struct db_params params;
    if (!r->conn)
        return error_set(e, -ENOTCONN, "the database connection was lost");
    db_params_init(&params);
    db_param_array(&params, ids);
    return db_send(r->conn, &sql_image_fetch, &params, e);
}

/* A new connection, and on it everything that was under way. */
static int mend(struct read_many *r, int64_t deadline_ms, struct error *e)
{
    for (;;) {
        int code = db_reconnect(&r->conn, r->pool, deadline_ms, e);
        for (int i = 0; i < r->waiting && code == 0; i++)
            code = send_request(r, asked_at(r, i), e);
        if (!db_unavailable(code) || !r->conn || !clock_left_ms(deadline_ms))
            return code;
    }
}

int read_many_ask(struct read_many *r, const int64_t *ids, int count, struct error *e)
{
    assert(r->waiting < READ_MANY_AHEAD && count > 0 && count <= READ_MANY_IMAGES);
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

static void report(const struct db_result *rows, int row, read_many_fn *got, void *arg)
{
    struct image_meta meta;
    struct image *image = NULL;
    struct error why = {0};
    tier_db_core(rows, row, &meta);
    int r = tier_db_image(rows, row, &image, &why);
    if (r == 0 && !image_is_linked(image))
        r = image_verify(&meta, image->bytes, (size_t)image->meta.size, &why);
    got(arg, &meta, r == 0 ? image : NULL, &why);
    image_unref(image);
}

int read_many_receive(struct read_many *r, read_many_fn *got, void *arg, struct error *e)
{
    assert(r->waiting > 0);
    struct db_result *rows;
    int64_t deadline_ms = clock_monotonic_ms() + r->patience_ms;
    int code = r->conn ? db_recv(r->conn, &rows, e) : error_set(e, -ENOTCONN, "the database connection was lost");
    while (db_unavailable(code) && r->conn && clock_left_ms(deadline_ms)) {
        code = mend(r, deadline_ms, e);
        if (code == 0)
            code = db_recv(r->conn, &rows, e);
    }
    r->first = (r->first + 1) % READ_MANY_AHEAD;
    r->waiting--;
    if (code < 0)
        return code;
    for (int row = 0; row < db_rows(rows); row++)
        report(rows, row, got, arg);
    db_result_free(rows);
    return 0;
}

void read_many_close(struct read_many *r)
{
    if (!r)
        return;
    db_put(r->conn);
    for (int i = 0; i < READ_MANY_AHEAD; i++)
        db_array_release(&r->asked[i]);
    free(r);
}
