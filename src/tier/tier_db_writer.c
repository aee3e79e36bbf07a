/* Many images into PostgreSQL over one connection: two batches take turns, one is filled while the server stores the
 * other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/db_fault.h"
#include "client/db_grants.h"
#include "codec/base64.h"
#include "sql.h"
#include "tier/tier_db.h"

#define TRIES     5 /* of a batch that lost against another transaction */
#define DATA_MAX  ((size_t)80 << 20)
#define SMALL_MAX ((size_t)1 << 20)
#define TOUCHES   256

/* How often a connection may be lost with the same batch under way, and with the same image alone. The latter waits
 * between its tries, longer each time, in all for this share of connection_ms: a server that loses all connections for
 * some seconds says nothing about the image. */
#define BATCH_LOSSES 4
#define IMAGE_LOSSES 10
#define PAUSES_SHARE 4

/* The server's limits. Of a batch that failed, each image has less: those that need more are tried again later, alone.
 */
#define SPLIT_LOCK_MS      10
#define SPLIT_STATEMENT_MS 2000

/* The parameters of sql/image_put.sql, in their order. */
enum put_column {
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

/* Images whose modification time is all that changes: the parameters of sql/image_touch.sql. */
enum touch_column { TOUCH_ID, TOUCH_MTIME, TOUCH_MTIME_NS, TOUCH_SEEN, TOUCH_COLUMNS };

struct batch_kind {
    const struct sql_query *query; /* returns a row for each image that it wrote */
    int columns;
    enum db_type types[COLUMNS];
};

static const struct batch_kind put_kind = {
    &sql_image_put,
    COLUMNS,
    {DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_INT8, DB_TEXT, DB_BYTEA, DB_INT8, DB_INT8, DB_TIMESTAMPTZ,
     DB_INT8, DB_INT8, DB_TEXT},
};

static const struct batch_kind touch_kind = {
    &sql_image_touch,
    TOUCH_COLUMNS,
    {DB_INT8, DB_TIMESTAMPTZ, DB_INT8, DB_INT8},
};

struct write_batch {
    const struct batch_kind *kind;
    struct db_array columns[COLUMNS];
    int count;
    int64_t bytes;
    void *tags[TOUCHES];
};
_Static_assert(TIER_DB_BATCH_IMAGES <= TOUCHES, "tags has room for both kinds");

struct tier_db_writer {
    struct db_pool *pool;
    struct db_conn *conn; /* NULL after the database was given up */
    struct tier_db_patience patience;
    int lock_ms, statement_ms; /* of the next statement */
    tier_db_done_fn *done;
    void *arg;
    struct write_batch batches[2];
    struct write_batch *filling;
    struct write_batch *flying; /* sent, its result not received; NULL: none */
    struct error send_error;    /* of the flying batch; code 0 when it went out */
    struct write_batch touches;
};

static void batch_init(struct write_batch *b, const struct batch_kind *kind)
{
    b->kind = kind;
    for (int i = 0; i < kind->columns; i++)
        db_array_init(&b->columns[i], kind->types[i], kind == &put_kind && i == COL_DATA ? DATA_MAX : SMALL_MAX);
    b->count = 0;
    b->bytes = 0;
}

static void batch_release(struct write_batch *b)
{
    for (int i = 0; i < b->kind->columns; i++)
        db_array_release(&b->columns[i]);
}

static void batch_reset(struct write_batch *b)
{
    for (int i = 0; i < b->kind->columns; i++)
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

static int add_touch(struct db_array *c, int64_t id, int64_t mtime_ns, int64_t seen_us)
{
    int r = db_array_add_int(&c[TOUCH_ID], id);
    if (r == 0)
        r = add_mtime(&c[TOUCH_MTIME], &c[TOUCH_MTIME_NS], mtime_ns);
    return r < 0 ? r : db_array_add_int(&c[TOUCH_SEEN], seen_us);
}

/* Ends the adding of an image with the outcome `r`. All of it is there or, without memory, nothing: else what comes
 * next would get the bytes of this one. */
static int batch_added(struct write_batch *b, int r, int64_t bytes, void *tag)
{
    for (int i = 0; i < b->kind->columns && r < 0; i++)
        db_array_cut(&b->columns[i], b->count);
    if (r < 0)
        return r;
    b->tags[b->count++] = tag;
    b->bytes += bytes;
    return 0;
}

static int batch_copy_one(struct write_batch *b, const struct write_batch *from, int index)
{
    batch_reset(b);
    for (int i = 0; i < b->kind->columns; i++) {
        int r = db_array_copy(&b->columns[i], &from->columns[i], index);
        if (r < 0)
            return r;
    }
    b->count = 1;
    b->tags[0] = from->tags[index];
    return 0;
}

static void tell(struct tier_db_writer *w, const struct write_batch *b, const struct error *outcome)
{
    for (int i = 0; i < b->count; i++)
        w->done(w->arg, b->tags[i], outcome);
}

static int send_batch(struct tier_db_writer *w, struct write_batch *b, struct error *e)
{
    struct db_params params;
    if (!w->conn)
        return error_set_sentence(e, -ENOTCONN, "the database connection was lost");
    db_params_init(&params);
    for (int i = 0; i < b->kind->columns; i++)
        db_param_array(&params, &b->columns[i]);
    db_statement_limits(w->conn, w->lock_ms, w->statement_ms);
    return db_send(w->conn, b->kind->query, &params, e);
}

static int receive(struct tier_db_writer *w, const struct write_batch *b, struct error *e)
{
    struct db_result *rows;
    int r = db_recv(w->conn, &rows, e);
    if (r < 0)
        return r;
    int written = db_rows(rows);
    db_result_free(rows);
    return written == b->count ? 0 : error_set(e, -ESTALE, "was changed in the table meanwhile");
}

/* What became of a batch so far. */
struct attempt {
    int64_t deadline_ms;
    int tries, losses;
};

/* After the nth loss of an image's connection. Each pause is twice the one before. */
static void pause_after_loss(const struct tier_db_writer *w, int n)
{
    int64_t all_ns = (int64_t)w->patience.connection_ms * 1000000 / PAUSES_SHARE;
    clock_sleep_ns(all_ns >> (IMAGE_LOSSES - n));
}

/* Whether to send the same once more after the outcome *r: over a new connection when the old one was lost, over this
 * one when another transaction won. Else *r is final, and whoever waited in vain was the last to wait: what follows is
 * told at once. */
static int send_again(struct tier_db_writer *w, const struct write_batch *b, struct attempt *a, int *r, struct error *e)
{
    a->tries++;
    a->losses += *r == DB_UNREACHABLE;
    if (db_unavailable(*r) && w->conn && clock_left_ms(a->deadline_ms)) {
        struct error lost = *e;
        if (*r == DB_UNREACHABLE && b->count == 1 && a->losses < IMAGE_LOSSES)
            pause_after_loss(w, a->losses);
        *r = db_reconnect(&w->conn, w->pool, a->deadline_ms, e);
        if (*r == 0 && a->losses >= (b->count > 1 ? BATCH_LOSSES : IMAGE_LOSSES)) {
            *r =
                error_set_sentence(e, -ECONNRESET, "the connection is lost each time when it is stored: %s", lost.text);
            return 0;
        }
        return *r == 0 || *r == DB_REPEAT;
    }
    if (*r == DB_REPEAT && a->tries < TRIES)
        return 1;
    if (db_unavailable(*r)) {
        db_put(w->conn);
        w->conn = NULL;
    }
    return 0;
}

/* The outcome of a batch that was sent (or could not be: `r` says so), sending it again where that can help. */
static int settle(struct tier_db_writer *w, struct write_batch *b, int r, struct error *e)
{
    struct attempt attempt = {.deadline_ms = clock_monotonic_ms() + w->patience.connection_ms};
    for (;;) {
        if (r == 0)
            r = receive(w, b, e);
        if (r == DB_DUPLICATE && !attempt.tries && db_advance_sequences(w->conn, NULL) == 0)
            r = DB_REPEAT;
        if (r == 0 || !send_again(w, b, &attempt, &r, e))
            return r;
        r = send_batch(w, b, e);
    }
}

/* Whether the server says that no statement would be better off, which a trigger may say, too. */
static int is_state(int code)
{
    enum db_state state = db_fault_state(code);
    return state != DB_STATE_UP && state != DB_STATE_UNREACHABLE && state != DB_STATE_READ_ONLY;
}

/* As settle; *outcome is set, and names the GRANT that is missing. */
static int settle_named(struct tier_db_writer *w, struct write_batch *b, int r, struct error *outcome)
{
    r = settle(w, b, r, outcome);
    if (is_state(r) && w->conn)
        r = db_name_grants(w->conn, r, outcome);
    return outcome->code = r;
}

static void set_limits(struct tier_db_writer *w, int lock_ms, int statement_ms)
{
    w->lock_ms = lock_ms;
    w->statement_ms = statement_ms;
}

static int settle_alone(struct tier_db_writer *w, struct write_batch *one, const struct write_batch *from, int index,
                        struct error *outcome)
{
    outcome->code = 0;
    int r = batch_copy_one(one, from, index);
    if (r < 0)
        return error_set_sentence(outcome, r, "out of memory");
    return settle_named(w, one, send_batch(w, one, outcome), outcome);
}

/* One image may be the reason (a trigger of the user's, say), so each gets a statement of its own. Where the first two
 * fail as if the database were the reason, it is; where another one is stored, it is not. */
static void settle_one_by_one(struct tier_db_writer *w, const struct write_batch *b)
{
    struct error outcome, first = {0};
    struct write_batch one;
    int stored = 0, i;
    int64_t until_ms = clock_monotonic_ms() + w->patience.split_ms;
    batch_init(&one, b->kind);
    for (i = 0; i < b->count; i++) {
        int patient = clock_left_ms(until_ms) > 0;
        set_limits(w, patient ? w->patience.lock_ms : SPLIT_LOCK_MS,
                   patient ? w->patience.statement_ms : SPLIT_STATEMENT_MS);
        int r = settle_alone(w, &one, b, i, &outcome);
        stored |= r == 0;
        if (i == 0 && is_state(r)) {
            first = outcome;
            continue;
        }
        if (!stored && is_state(r))
            break;
        if (is_state(r))
            outcome.code = DB_REFUSED;
        w->done(w->arg, b->tags[i], &outcome);
    }
    for (; i < b->count; i++)
        w->done(w->arg, b->tags[i], &outcome);
    if (first.code && stored)
        first.code = DB_REFUSED;
    if (first.code)
        w->done(w->arg, b->tags[0], &first);
    set_limits(w, w->patience.lock_ms, w->patience.statement_ms);
    batch_release(&one);
}

/* Tells the outcome of each image of a batch that was sent, or of which `outcome` says why it was not. */
static void finish(struct tier_db_writer *w, struct write_batch *b, struct error *outcome)
{
    int r = settle_named(w, b, outcome->code, outcome);
    if (b->count > 1 && r < 0 && db_fault_splits(r))
        settle_one_by_one(w, b);
    else
        tell(w, b, outcome);
    batch_reset(b);
}

static void land(struct tier_db_writer *w)
{
    struct write_batch *b = w->flying;
    struct error outcome = w->send_error;
    w->flying = NULL;
    if (b)
        finish(w, b, &outcome);
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

/* Nothing else is in flight then: these share the connection. */
static void flush_touches(struct tier_db_writer *w)
{
    struct error outcome = {0};
    land(w);
    if (!w->touches.count)
        return;
    outcome.code = send_batch(w, &w->touches, &outcome);
    finish(w, &w->touches, &outcome);
}

int tier_db_writer_open(struct tier_db *db, const struct tier_db_patience *patience, tier_db_done_fn *done, void *arg,
                        struct tier_db_writer **ret, struct error *e)
{
    struct tier_db_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    w->pool = tier_db_pool(db);
    int r = db_get_again(w->pool, &w->conn, clock_monotonic_ms() + patience->connection_ms, e);
    if (r < 0) {
        free(w);
        return r;
    }
    w->patience = *patience;
    set_limits(w, patience->lock_ms, patience->statement_ms);
    w->done = done;
    w->arg = arg;
    batch_init(&w->batches[0], &put_kind);
    batch_init(&w->batches[1], &put_kind);
    w->filling = &w->batches[0];
    batch_init(&w->touches, &touch_kind);
    *ret = w;
    return 0;
}

static void added(struct tier_db_writer *w, struct write_batch *b, int r, int64_t bytes, void *tag)
{
    struct error outcome;
    r = batch_added(b, r, bytes, tag);
    if (r == 0)
        return;
    error_set_sentence(&outcome, r, "out of memory");
    w->done(w->arg, tag, &outcome);
}

void tier_db_writer_add(struct tier_db_writer *w, const struct image_meta *meta, const void *bytes, int64_t seen_us,
                        void *tag)
{
    struct write_batch *b = w->filling;
    if (b->count == TIER_DB_BATCH_IMAGES || (b->count && b->bytes + meta->size > TIER_DB_BATCH_BYTES)) {
        launch(w);
        b = w->filling;
    }
    added(w, b, add_columns(b->columns, meta, bytes, seen_us), bytes ? meta->size : 0, tag);
}

void tier_db_writer_touch(struct tier_db_writer *w, int64_t id, int64_t mtime_ns, int64_t seen_us, void *tag)
{
    struct write_batch *b = &w->touches;
    added(w, b, add_touch(b->columns, id, mtime_ns, seen_us), 0, tag);
    if (b->count == TOUCHES)
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
    batch_release(&w->touches);
    free(w);
}
