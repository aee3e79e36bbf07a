/* What moving uploads needs of the database: taking them, reading them, telling what came of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec/base64.h"
#include "records/uploads.h"
#include "sql.h"
#include "store/store_tiers.h"

#define LIST_MAX_BYTES 16384

static void copy(char *dst, size_t size, const char *text)
{
    snprintf(dst, size, "%.*s", (int)size - 1, text ? text : "");
}

static int list_collections(const struct uploads_claimant *c, struct db_array *ret, struct error *e)
{
    int r = 0;
    db_array_init(ret, DB_TEXT, LIST_MAX_BYTES);
    for (int i = 0; r == 0 && i < c->collections_len; i++)
        r = db_array_add_text(ret, c->collections[i]);
    return r < 0 ? error_set(e, r, "out of memory") : 0;
}

int uploads_now(struct store *store, int64_t *ret_us, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, &sql_server_now, NULL, &rows, e);
    if (r < 0)
        return r;
    *ret_us = db_time(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

static void take_row(const struct db_result *rows, struct upload *ret)
{
    size_t n;
    const void *sha256 = db_bytes(rows, 0, 5, &n);
    *ret = (struct upload){.id = db_int(rows, 0, 0),
                           .size = db_int(rows, 0, 4),
                           .parts = db_int(rows, 0, 7),
                           .attempts = db_int(rows, 0, 8),
                           .created_us = db_time(rows, 0, 9)};
    copy(ret->name, sizeof ret->name, db_text(rows, 0, 1));
    copy(ret->collection, sizeof ret->collection, db_text(rows, 0, 2));
    copy(ret->mime, sizeof ret->mime, db_text(rows, 0, 3));
    if (sha256 && n == sizeof ret->sha256)
        memcpy(ret->sha256, sha256, n);
    copy(ret->key, sizeof ret->key, db_text(rows, 0, 6));
}

int uploads_claim(const struct uploads_claimant *c, int64_t since_us, struct upload *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    struct db_array collections;
    int r = list_collections(c, &collections, e);
    if (r == 0) {
        db_params_init(&params);
        db_param_text(&params, c->name);
        db_param_int(&params, UPLOADS_LEASE_S);
        db_param_array(&params, &collections);
        db_param_time(&params, since_us);
        db_param_int(&params, c->even_if_not_due);
        r = store_query(c->store, &sql_upload_claim, &params, &rows, e);
    }
    db_array_release(&collections);
    if (r < 0)
        return r;
    if (db_rows(rows))
        take_row(rows, ret);
    else
        r = -ENOENT;
    db_result_free(rows);
    return r;
}

int uploads_claimed_by_others(const struct uploads_claimant *c, int64_t *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    struct db_array collections;
    int r = list_collections(c, &collections, e);
    if (r == 0) {
        db_params_init(&params);
        db_param_text(&params, c->name);
        db_param_array(&params, &collections);
        r = store_query(c->store, &sql_upload_claimed, &params, &rows, e);
    }
    db_array_release(&collections);
    if (r < 0)
        return r;
    *ret = db_int(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

int uploads_renew(const struct uploads_claimant *c, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, c->name);
    db_param_int(&params, UPLOADS_LEASE_S);
    return store_query(c->store, &sql_upload_renew, &params, NULL, e);
}

int uploads_release(const struct uploads_claimant *c, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, c->name);
    return store_query(c->store, &sql_upload_release, &params, NULL, e);
}

static int decode(const struct db_result *rows, struct buf *into, struct error *e)
{
    char *to;
    size_t n, len;
    const char *text = db_rows(rows) ? db_bytes(rows, 0, 0, &n) : NULL;
    if (!text)
        return error_set(e, -ENOENT, "its bytes are gone: somebody else has moved it");
    int r = buf_reserve(into, base64_decoded_max(n), &to);
    if (r < 0)
        return error_set(e, r, "out of memory");
    if (base64_decode(to, &len, text, n) < 0)
        return error_set(e, -EBADMSG, "its row is damaged: what it holds is no base64");
    into->len += len;
    return 0;
}

int uploads_read(struct store *store, const struct upload *u, int64_t part, struct buf *into, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    if (u->parts) {
        db_param_text(&params, u->name);
        db_param_int(&params, part);
    } else {
        db_param_int(&params, u->id);
    }
    int r = store_query(store, u->parts ? &sql_upload_part : &sql_upload_bytes, &params, &rows, e);
    if (r < 0)
        return r;
    buf_reset(into);
    r = decode(rows, into, e);
    db_result_free(rows);
    return r;
}

int uploads_done(const struct uploads_claimant *c, const struct upload *u, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, u->id);
    return store_query(c->store, &sql_upload_done, &params, NULL, e);
}

int uploads_undone(const struct uploads_claimant *c, const struct upload *u, enum uploads_state state, const char *why,
                   int64_t again_s, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, u->id);
    db_param_text(&params, c->name);
    db_param_text(&params, state == UPLOADS_FAILED ? "failed" : "pending");
    db_param_text(&params, why);
    db_param_int(&params, again_s);
    return store_query(c->store, &sql_upload_undone, &params, NULL, e);
}

int uploads_purge(struct store *store, int64_t *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, UPLOADS_KEPT_DAYS);
    int r = store_query(store, &sql_upload_purge, &params, &rows, e);
    if (r < 0)
        return r;
    *ret = db_int(rows, 0, 0) + db_int(rows, 0, 1);
    db_result_free(rows);
    return 0;
}
