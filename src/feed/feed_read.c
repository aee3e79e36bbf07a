#include "feed/feed_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "sql.h"
#include "store/store_row.h"

#define PAGE       5000
#define TOGETHER   64
#define SOURCES    3
#define EVERYTHING "*"

struct feed_round {
    struct feed_cursor *cursor;
    struct db_conn *conn;
    struct store *store;
    int stale;
};

enum { COL_CLEANED_UP = STORE_ROW_COLUMNS };

static int take_image(struct feed_round *d, const struct db_result *rows, int row)
{
    struct image_meta meta;
    store_row_meta(rows, row, &meta);
    enum store_change change = db_int(rows, row, COL_CLEANED_UP) ? STORE_CHANGE_CACHES : STORE_CHANGE_FILE;
    int r = store_changed(d->store, &meta, change);
    d->stale |= r > 0;
    return r < 0 ? r : 0;
}

static void tombstone_meta(const struct db_result *rows, int row, struct image_meta *ret)
{
    *ret = (struct image_meta){
        .key = {db_text(rows, row, 1), db_text(rows, row, 2)},
        .content_type = db_text(rows, row, 3),
        .object_id = db_text(rows, row, 4),
        .variant = db_text(rows, row, 5),
    };
}

static int take_tombstone(struct feed_round *d, const struct db_result *rows, int row)
{
    struct image_meta gone;
    tombstone_meta(rows, row, &gone);
    int r = store_changed(d->store, &gone, STORE_CHANGE_CACHES);
    return r < 0 ? r : 0;
}

static int take_invalidation(struct feed_round *d, const struct db_result *rows, int row)
{
    (void)store_forget_named(d->store, db_text(rows, row, 1));
    return 0;
}

/* The last column of each is changed_xid, the first one id. */
static const struct feed_source {
    const struct sql_query *query;
    void (*meta)(const struct db_result *rows, int row, struct image_meta *ret); /* NULL: they are no images */
    int (*take)(struct feed_round *d, const struct db_result *rows, int row);
    int xid_column;
} sources[SOURCES] = {
    {&sql_feed_images, store_row_meta, take_image, STORE_ROW_COLUMNS + 1},
    {&sql_feed_tombstones, tombstone_meta, take_tombstone, 6},
    {&sql_feed_invalidations, NULL, take_invalidation, 2},
};

static void fill_params(struct db_params *params, const struct feed_cursor *c, int64_t xid, int64_t id)
{
    db_params_init(params);
    db_param_text(params, c->snapshot);
    db_param_int(params, xid);
    db_param_int(params, id);
    db_param_int(params, PAGE);
}

/* First of all from Redis, many at a time. */
static void forget_shared(struct store *store, const struct feed_source *source, const struct db_result *rows)
{
    struct image_meta metas[TOGETHER];
    for (int i = 0, n = 0; source->meta && i < db_rows(rows); i++) {
        source->meta(rows, i, &metas[n++]);
        if (n == TOGETHER || i + 1 == db_rows(rows)) {
            store_forget_shared(store, metas, n);
            n = 0;
        }
    }
}

/* Takes a page and those behind it; frees it. */
static int take_pages(struct feed_round *d, const struct feed_source *source, struct db_result *rows, struct error *e)
{
    struct db_params params;
    int r = 0, count;
    do {
        count = db_rows(rows);
        forget_shared(d->store, source, rows);
        for (int i = 0; i < count && r == 0; i++)
            r = source->take(d, rows, i);
        metric_add(METRIC_feed_changes, METRIC_none, METRIC_none, count);
        if (r < 0)
            error_set(e, -EAGAIN, "%s",
                      r == -ENOSPC ? "too many files were changed elsewhere at once: they are replaced first"
                                   : "files that were changed elsewhere can't be looked at now");
        if (count == PAGE && r == 0) {
            fill_params(&params, d->cursor, db_int(rows, count - 1, source->xid_column), db_int(rows, count - 1, 0));
            db_result_free(rows);
            rows = NULL;
            r = db_query(d->conn, source->query, &params, &rows, e);
        } else if (r < 0) {
            r = -EAGAIN;
        }
    } while (r == 0 && count == PAGE);
    db_result_free(rows);
    return r;
}

static int take_snapshot(const struct db_result *rows, struct feed_cursor *ret, struct error *e)
{
    *ret = (struct feed_cursor){strdup(db_text(rows, 0, 0)), db_int(rows, 0, 1), db_int(rows, 0, 2)};
    return ret->snapshot ? 0 : error_set(e, -ENOMEM, "out of memory");
}

static void move_to(struct feed_cursor *c, struct feed_cursor next)
{
    free(c->snapshot);
    *c = next;
}

/* The first page of each source, asked for together with the snapshot: one round trip. */
static int read_on(struct feed_round *d, struct error *e)
{
    struct db_params params;
    struct db_result *snapshot = NULL, *pages[SOURCES] = {0};
    struct feed_cursor next = {0};
    fill_params(&params, d->cursor, 0, 0);
    int r = db_send(d->conn, &sql_feed_snapshot, NULL, e);
    for (int i = 0; i < SOURCES && r == 0; i++)
        r = db_send(d->conn, sources[i].query, &params, e);
    if (r == 0)
        r = db_recv(d->conn, &snapshot, e);
    for (int i = 0; i < SOURCES && r == 0; i++)
        r = db_recv(d->conn, &pages[i], e);
    if (r == 0)
        r = take_snapshot(snapshot, &next, e);
    int same = r == 0 && next.xmax >= d->cursor->xmax && next.table == d->cursor->table;
    for (int i = 0; i < SOURCES; i++) {
        if (same && r == 0)
            r = take_pages(d, &sources[i], pages[i], e);
        else
            db_result_free(pages[i]);
    }
    if (r == 0 && !same)
        (void)store_forget_matching(d->store, EVERYTHING);
    if (r == 0)
        move_to(d->cursor, next);
    else
        free(next.snapshot);
    db_result_free(snapshot);
    return r;
}

static int begin(struct feed_round *d, struct error *e)
{
    struct db_result *rows;
    struct feed_cursor next;
    int r = db_query(d->conn, &sql_feed_snapshot, NULL, &rows, e);
    if (r < 0)
        return r;
    r = take_snapshot(rows, &next, e);
    db_result_free(rows);
    if (r < 0)
        return r;
    move_to(d->cursor, next);
    store_forget_reads(d->store); /* they may be older than the cursor */
    return 0;
}

int feed_is_due(const struct feed_cursor *c, struct db_conn *conn, struct error *e)
{
    struct db_result *rows;
    if (!c->snapshot)
        return 1;
    int r = db_query(conn, &sql_feed_snapshot, NULL, &rows, e);
    if (r < 0)
        return r;
    int same = strcmp(db_text(rows, 0, 0), c->snapshot) == 0 && db_int(rows, 0, 2) == c->table;
    db_result_free(rows);
    return !same;
}

int feed_read(struct feed_cursor *c, struct db_conn *conn, struct store *store, int *ret_stale, struct error *e)
{
    struct feed_round d = {.cursor = c, .conn = conn, .store = store};
    metric_inc(METRIC_feed_reads);
    int r = c->snapshot ? read_on(&d, e) : begin(&d, e);
    *ret_stale = d.stale;
    return r;
}

void feed_cursor_release(struct feed_cursor *c)
{
    free(c->snapshot);
    *c = (struct feed_cursor){0};
}
