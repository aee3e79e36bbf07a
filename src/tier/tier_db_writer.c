/* Many images into PostgreSQL over one connection: two batches take turns, one is filled while the server stores the
 * other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/db_fault.h"
#include "codec/base64.h"
#include "sql.h"
#include "tier/tier_db.h"

#define TRIES     5 /* of a batch that lost against another transaction */
#define DATA_MAX  ((size_t)80 << 20)
#define SMALL_MAX ((size_t)1 << 20)

/* The parameters of sql/image_put.sql, in their order. */
enum column {
    COL_COLLECTION,
    COL_PATH,
    COL_CONTENT_TYPE,
    COL_OBJECT_ID,
    COL_VARIANT,
    COL_DATA,
    COL_SIZE,
    COL_MIME,
    COL_SHA256,
    COL_WIDTH,
    COL_HEIGHT,
    COL_MTIME,
    COL_MTIME_NS,
    COL_SEEN,
    COL_URL,
    COLUMNS
};

static const enum db_type column_types[COLUMNS] = {
    DB_TEXT,  DB_TEXT, DB_TEXT, DB_TEXT,        DB_TEXT, DB_TEXT, DB_INT8, DB_TEXT,
    DB_BYTEA, DB_INT8, DB_INT8, DB_TIMESTAMPTZ, DB_INT8, DB_INT8, DB_TEXT,
};

struct batch {
    struct db_array columns[COLUMNS];
    int count;
    int64_t bytes;
    void *tags[TIER_DB_BATCH_IMAGES];
};

/* Images whose modification time is all that changes: the parameters of sql/image_touch.sql. */
#define TOUCHES 256

struct touches {
    struct db_array ids, mtimes, nanos, seen;
    int count;
    void *tags[TOUCHES];
    int written[TOUCHES];
};

struct tier_db_writer {
    struct db_pool *pool;
    struct db_conn *conn; /* NULL after the database was given up */
    int patience_ms;
    tier_db_done_fn *done;
    void *arg;
    struct batch batches[2];
    struct batch *filling;
    struct batch *flying;    /* sent, its result not received; NULL: none */
    struct error send_error; /* of the flying batch; code 0 when it went out */
    struct touches touches;
};

static void batch_init(struct batch *b)
{
    for (int i = 0; i < COLUMNS; i++)
        db_array_init(&b->columns[i], column_types[i], i == COL_DATA ? DATA_MAX : SMALL_MAX);
    b->count = 0;
    b->bytes = 0;
}

static void batch_release(struct batch *b)
{
    for (int i = 0; i < COLUMNS; i++)
        db_array_release(&b->columns[i]);
}

static void batch_reset(struct batch *b)
{
    for (int i = 0; i < COLUMNS; i++)
        db_array_reset(&b->columns[i]);
    b->count = 0;
    b->bytes = 0;
}

/* A point in time as PostgreSQL keeps it, and the nanoseconds that do not fit into it. */
static int add_mtime(struct db_array *times, struct db_array *nanos, int64_t ns)
{
    int64_t us = ns / 1000 - (ns % 1000 < 0);
    int r = db_array_add_time(times, us);
    return r < 0 ? r : db_array_add_int(nanos, ns - us * 1000);
}

/* NULL: an SQL null. */
static int add_data(struct db_array *a, const void *bytes, size_t n)
{
    char *data;
    if (!bytes)
        return db_array_add_text(a, NULL);
    int r = db_array_reserve(a, base64_encoded_len(n), &data);
    if (r == 0)
        base64_encode(data, bytes, n);
    return r;
}

static int add_columns(struct db_array *c, const struct image_meta *m, const void *bytes, int64_t seen_us)
{
    int r = add_data(&c[COL_DATA], bytes, (size_t)m->size);
    if (r < 0 || (r = db_array_add_text(&c[COL_URL], bytes ? NULL : m->url)) < 0 ||
        (r = db_array_add_text(&c[COL_COLLECTION], m->key.collection)) < 0 ||
        (r = db_array_add_text(&c[COL_PATH], m->key.path)) < 0 ||
        (r = db_array_add_text(&c[COL_CONTENT_TYPE], m->content_type)) < 0 ||
        (r = db_array_add_text(&c[COL_OBJECT_ID], m->object_id)) < 0 ||
        (r = db_array_add_text(&c[COL_VARIANT], m->variant)) < 0 || (r = db_array_add_int(&c[COL_SIZE], m->size)) < 0 ||
        (r = db_array_add_text(&c[COL_MIME], m->mime)) < 0 ||
        (r = db_array_add(&c[COL_SHA256], m->sha256, sizeof m->sha256)) < 0 ||
        (r = db_array_add_int(&c[COL_WIDTH], m->width)) < 0 || (r = db_array_add_int(&c[COL_HEIGHT], m->height)) < 0 ||
        (r = add_mtime(&c[COL_MTIME], &c[COL_MTIME_NS], m->mtime_ns)) < 0 ||
        (r = db_array_add_int(&c[COL_SEEN], seen_us)) < 0)
        return r;
    return 0;
}

/* All of it or, without memory, nothing: else what comes next would get the bytes of this one. */
static int batch_add(struct batch *b, const struct image_meta *m, const void *bytes, int64_t seen_us, void *tag)
{
    int r = add_columns(b->columns, m, bytes, seen_us);
    for (int i = 0; i < COLUMNS && r < 0; i++)
        db_array_cut(&b->columns[i], b->count);
    if (r < 0)
        return r;
    b->tags[b->count++] = tag;
    b->bytes += bytes ? m->size : 0;
    return 0;
}

static int batch_copy_one(struct batch *b, const struct batch *from, int index)
{
    batch_reset(b);
    for (int i = 0; i < COLUMNS; i++) {
        int r = db_array_copy(&b->columns[i], &from->columns[i], index);
        if (r < 0)
            return r;
    }
    b->count = 1;
    b->tags[0] = from->tags[index];
    return 0;
}

static void tell(struct tier_db_writer *w, const struct batch *b, const struct error *outcome)
{
    for (int i = 0; i < b->count; i++)
        w->done(w->arg, b->tags[i], outcome);
}

static int send_batch(struct tier_db_writer *w, struct batch *b, struct error *e)
{
    struct db_params params;
    if (!w->conn)
        return error_set(e, -ENOTCONN, "the database connection was lost");
    db_params_init(&params);
    for (int i = 0; i < COLUMNS; i++)
        db_param_array(&params, &b->columns[i]);
    return db_send(w->conn, &sql_image_put, &params, e);
}

/* Whether to send the same once more after the outcome *r: over a new connection when the old one was lost, over this
 * one when another transaction won. Else *r is final, and whoever waited in vain was the last to wait: what follows is
 * told at once. */
static int send_again(struct tier_db_writer *w, int *r, int tries, int64_t deadline_ms, struct error *e)
{
    if (db_unavailable(*r) && w->conn && clock_left_ms(deadline_ms)) {
        *r = db_reconnect(&w->conn, w->pool, deadline_ms, e);
        return *r == 0 || *r == -EAGAIN;
    }
    if (*r == -EAGAIN && tries < TRIES)
        return 1;
    if (db_unavailable(*r)) {
        db_put(w->conn);
        w->conn = NULL;
    }
    return 0;
}

static int say_changed(struct error *e)
{
    return error_set(e, -ESTALE, "was changed in the table meanwhile");
}

static int receive(struct tier_db_writer *w, const struct batch *b, struct error *e)
{
    struct db_result *rows;
    int r = db_recv(w->conn, &rows, e);
    if (r < 0)
        return r;
    int written = db_rows(rows);
    db_result_free(rows);
    return written == b->count ? 0 : say_changed(e);
}

/* The outcome of a batch that was sent (or could not be: `r` says so), sending it again where that can help. */
static int settle(struct tier_db_writer *w, struct batch *b, int r, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + w->patience_ms;
    for (int tries = 1;; tries++) {
        if (r == 0)
            r = receive(w, b, e);
        if (r == DB_DUPLICATE && tries == 1 && db_advance_sequences(w->conn, NULL) == 1)
            r = DB_REPEAT;
        if (!send_again(w, &r, tries, deadline_ms, e))
            return r;
        r = send_batch(w, b, e);
    }
}

/* One of them may be the reason: each gets a statement of its own. */
static void settle_one_by_one(struct tier_db_writer *w, const struct batch *b)
{
    struct batch one;
    batch_init(&one);
    for (int i = 0; i < b->count; i++) {
        struct error outcome = {0};
        int r = batch_copy_one(&one, b, i);
        if (r < 0)
            error_set(&outcome, r, "out of memory");
        else if (settle(w, &one, send_batch(w, &one, &outcome), &outcome) == 0)
            outcome.code = 0;
        w->done(w->arg, b->tags[i], &outcome);
    }
    batch_release(&one);
}

static void land(struct tier_db_writer *w)
{
    struct batch *b = w->flying;
    if (!b)
        return;
    struct error outcome = w->send_error;
    int r = settle(w, b, outcome.code, &outcome);
    if (r == 0)
        outcome.code = 0;
    if (r < 0 && db_fault_splits(r) && b->count > 1)
        settle_one_by_one(w, b);
    else
        tell(w, b, &outcome);
    batch_reset(b);
    w->flying = NULL;
}

static void launch(struct tier_db_writer *w)
{
    land(w);
    if (!w->filling->count)
        return;
    w->send_error.code = 0;
    w->send_error.code = send_batch(w, w->filling, &w->send_error);
    w->flying = w->filling;
    w->filling = w->filling == &w->batches[0] ? &w->batches[1] : &w->batches[0];
}

static int query_touches(struct tier_db_writer *w, const struct db_params *params, struct error *e)
{
    struct db_result *rows;
    int r = db_query(w->conn, &sql_image_touch, params, &rows, e);
    if (r < 0)
        return r;
    for (int row = 0; row < db_rows(rows); row++)
        w->touches.written[db_int(rows, row, 0)] = 1;
    db_result_free(rows);
    return 0;
}

/* Nothing else is in flight then: these share the connection. */
static int send_touches(struct tier_db_writer *w, struct error *e)
{
    struct db_params params;
    int64_t deadline_ms = clock_monotonic_ms() + w->patience_ms;
    db_params_init(&params);
    db_param_array(&params, &w->touches.ids);
    db_param_array(&params, &w->touches.mtimes);
    db_param_array(&params, &w->touches.nanos);
    db_param_array(&params, &w->touches.seen);
    for (int tries = 1;; tries++) {
        int r = w->conn ? query_touches(w, &params, e) : error_set(e, -ENOTCONN, "the database connection was lost");
        if (!send_again(w, &r, tries, deadline_ms, e))
            return r;
    }
}

static void flush_touches(struct tier_db_writer *w)
{
    struct error outcome = {0}, changed;
    if (!w->touches.count)
        return;
    land(w);
    memset(w->touches.written, 0, sizeof w->touches.written);
    if (send_touches(w, &outcome) == 0)
        outcome.code = 0;
    say_changed(&changed);
    for (int i = 0; i < w->touches.count; i++)
        w->done(w->arg, w->touches.tags[i], outcome.code || w->touches.written[i] ? &outcome : &changed);
    db_array_reset(&w->touches.ids);
    db_array_reset(&w->touches.mtimes);
    db_array_reset(&w->touches.nanos);
    db_array_reset(&w->touches.seen);
    w->touches.count = 0;
}

int tier_db_writer_open(struct tier_db *db, int patience_ms, tier_db_done_fn *done, void *arg,
                        struct tier_db_writer **ret, struct error *e)
{
    struct tier_db_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(e, -ENOMEM, "out of memory");
    w->pool = tier_db_pool(db);
    int r = db_get_again(w->pool, &w->conn, clock_monotonic_ms() + patience_ms, e);
    if (r < 0) {
        free(w);
        return r;
    }
    w->patience_ms = patience_ms;
    w->done = done;
    w->arg = arg;
    batch_init(&w->batches[0]);
    batch_init(&w->batches[1]);
    w->filling = &w->batches[0];
    db_array_init(&w->touches.ids, DB_INT8, SMALL_MAX);
    db_array_init(&w->touches.mtimes, DB_TIMESTAMPTZ, SMALL_MAX);
    db_array_init(&w->touches.nanos, DB_INT8, SMALL_MAX);
    db_array_init(&w->touches.seen, DB_INT8, SMALL_MAX);
    *ret = w;
    return 0;
}

void tier_db_writer_add(struct tier_db_writer *w, const struct image_meta *meta, const void *bytes, int64_t seen_us,
                        void *tag)
{
    struct batch *b = w->filling;
    if (b->count == TIER_DB_BATCH_IMAGES || (b->count && b->bytes + meta->size > TIER_DB_BATCH_BYTES)) {
        launch(w);
        b = w->filling;
    }
    int r = batch_add(b, meta, bytes, seen_us, tag);
    if (r < 0) {
        struct error outcome;
        error_set(&outcome, r, "out of memory");
        w->done(w->arg, tag, &outcome);
    }
}

void tier_db_writer_touch(struct tier_db_writer *w, int64_t id, int64_t mtime_ns, int64_t seen_us, void *tag)
{
    struct touches *t = &w->touches;
    int r = db_array_add_int(&t->ids, id);
    if (r == 0)
        r = add_mtime(&t->mtimes, &t->nanos, mtime_ns);
    if (r == 0)
        r = db_array_add_int(&t->seen, seen_us);
    if (r < 0) {
        struct error outcome;
        db_array_cut(&t->ids, t->count);
        db_array_cut(&t->mtimes, t->count);
        db_array_cut(&t->nanos, t->count);
        error_set(&outcome, r, "out of memory");
        w->done(w->arg, tag, &outcome);
        return;
    }
    t->tags[t->count++] = tag;
    if (t->count == TOUCHES)
        flush_touches(w);
}

void tier_db_writer_flush(struct tier_db_writer *w)
{
    launch(w);
    land(w);
    flush_touches(w);
}

void tier_db_writer_close(struct tier_db_writer *w)
{
    if (!w)
        return;
    tier_db_writer_flush(w);
    db_put(w->conn);
    batch_release(&w->batches[0]);
    batch_release(&w->batches[1]);
    db_array_release(&w->touches.ids);
    db_array_release(&w->touches.mtimes);
    db_array_release(&w->touches.nanos);
    db_array_release(&w->touches.seen);
    free(w);
}
