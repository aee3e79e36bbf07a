#include "tier/tier_db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "client/db_fault.h"
#include "client/db_grants.h"
#include "codec/base64.h"
#include "sql.h"

/* Somebody waits for a single read: a database that takes longer counts as gone. */
#define READ_LIMIT_MS 10000

/* Likewise for a single write: a connection is tried once, and a lock is waited for as long as a request may. */
static const struct tier_db_patience write_patience = {.connection_ms = 0, .lock_ms = 2000, .statement_ms = 20000};

/* The columns that all queries for images begin with, then those of sql/image_info.sql. */
enum row_column {
    COL_ID,
    COL_COLLECTION,
    COL_PATH,
    COL_MIME,
    COL_URL,
    COL_SIZE,
    COL_SHA256,
    COL_MTIME,
    COL_MTIME_NS,
    CORE_COLUMNS,
    COL_CONTENT_TYPE = CORE_COLUMNS,
    COL_OBJECT_ID,
    COL_VARIANT,
    COL_WIDTH,
    COL_HEIGHT,
    COL_CREATED,
    COL_UPDATED,
    COL_ACCESSED,
    COL_ACCESS_COUNT,
    COL_DELETED,
    META_COLUMNS,
    COL_DATA = CORE_COLUMNS, /* in sql/image_get.sql and image_fetch.sql */
    GET_CONTENT_TYPE,        /* from here on in image_get.sql */
    GET_OBJECT_ID,
    GET_VARIANT,
    GET_WIDTH,
    GET_HEIGHT,
    GET_UPDATED,
};
_Static_assert(META_COLUMNS == TIER_DB_META_COLUMNS, "every column of image_info.sql has its name here");

struct tier_db {
    struct db_pool *pool;
    int64_t inline_max_bytes;
};

struct tier_db *tier_db_new(struct db_pool *pool, int64_t inline_max_bytes)
{
    struct tier_db *db = malloc(sizeof *db);
    if (db)
        *db = (struct tier_db){pool, inline_max_bytes};
    return db;
}

void tier_db_free(struct tier_db *db)
{
    free(db);
}

struct db_pool *tier_db_pool(struct tier_db *db)
{
    return db->pool;
}

int64_t tier_db_inline_max(const struct tier_db *db)
{
    return db->inline_max_bytes;
}

int tier_db_accepts(const struct tier_db *db, int64_t size, struct error *e)
{
    if (size <= db->inline_max_bytes)
        return 0;
    return error_set(e, -EFBIG,
                     "has %lld bytes, more than PERDURA_INLINE_MAX (%lld) lets into a row, and no PERDURA_LARGE_BUCKET "
                     "takes larger images; it is not kept",
                     (long long)size, (long long)db->inline_max_bytes);
}

void tier_db_core(const struct db_result *rows, int row, struct image_meta *ret)
{
    size_t sha256_len;
    const void *sha256 = db_bytes(rows, row, COL_SHA256, &sha256_len);

    *ret = (struct image_meta){
        .id = db_int(rows, row, COL_ID),
        .key = {db_text(rows, row, COL_COLLECTION), db_text(rows, row, COL_PATH)},
        .mime = db_text(rows, row, COL_MIME),
        .url = db_text(rows, row, COL_URL),
        .size = db_int(rows, row, COL_SIZE),
        .mtime_ns = db_time(rows, row, COL_MTIME) * 1000 + db_int(rows, row, COL_MTIME_NS),
    };
    if (sha256_len == sizeof ret->sha256) /* the table's CHECK says so */
        memcpy(ret->sha256, sha256, sha256_len);
}

void tier_db_meta(const struct db_result *rows, int row, struct image_meta *ret)
{
    tier_db_core(rows, row, ret);
    ret->content_type = db_text(rows, row, COL_CONTENT_TYPE);
    ret->object_id = db_text(rows, row, COL_OBJECT_ID);
    ret->variant = db_text(rows, row, COL_VARIANT);
    ret->width = (int)db_int(rows, row, COL_WIDTH);
    ret->height = (int)db_int(rows, row, COL_HEIGHT);
    ret->created_us = db_time(rows, row, COL_CREATED);
    ret->updated_us = db_time(rows, row, COL_UPDATED);
    ret->accessed_us = db_time(rows, row, COL_ACCESSED);
    ret->access_count = db_int(rows, row, COL_ACCESS_COUNT);
    ret->deleted_us = db_time(rows, row, COL_DELETED);
}

static int decode_image(const struct db_result *rows, int row, const struct image_meta *meta, struct image **ret,
                        struct error *e)
{
    if (db_is_null(rows, row, COL_DATA)) {
        *ret = image_new_linked(meta);
        return *ret ? 0 : error_set_sentence(e, -ENOMEM, "out of memory");
    }

    size_t encoded_len, len = 0;
    const char *encoded = db_bytes(rows, row, COL_DATA, &encoded_len);
    if (base64_encoded_len((size_t)meta->size) != encoded_len)
        return error_set(e, -EBADMSG, "is damaged: its row holds %zu characters of base64; %lld bytes make %zu",
                         encoded_len, (long long)meta->size, base64_encoded_len((size_t)meta->size));

    struct image *image = image_new(meta);
    if (!image)
        return error_set_sentence(e, -ENOMEM, "out of memory for %lld bytes", (long long)meta->size);
    if (base64_decode(image->bytes, &len, encoded, encoded_len) < 0 || (int64_t)len != meta->size) {
        image_unref(image);
        return error_set(e, -EBADMSG, "is damaged: its row holds base64 that cannot be decoded");
    }
    *ret = image;
    return 0;
}

int tier_db_image(const struct db_result *rows, int row, struct image **ret, struct error *e)
{
    struct image_meta meta;
    tier_db_core(rows, row, &meta);
    return decode_image(rows, row, &meta, ret, e);
}

/* The row of sql/image_get.sql. */
static int whole_image(const struct db_result *rows, struct image **ret, struct error *e)
{
    struct image_meta meta;
    tier_db_core(rows, 0, &meta);
    meta.content_type = db_text(rows, 0, GET_CONTENT_TYPE);
    meta.object_id = db_text(rows, 0, GET_OBJECT_ID);
    meta.variant = db_text(rows, 0, GET_VARIANT);
    meta.width = (int)db_int(rows, 0, GET_WIDTH);
    meta.height = (int)db_int(rows, 0, GET_HEIGHT);
    meta.updated_us = db_time(rows, 0, GET_UPDATED);
    return decode_image(rows, 0, &meta, ret, e);
}

/* Runs a query that changes the row of a key. */
static int change_key(struct tier_db *db, const struct sql_query *query, const struct image_key *key,
                      struct db_result **ret, struct error *e)
{
    struct db_conn *conn;
    int r = db_get(db->pool, &conn, e);
    if (r < 0)
        return r;
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, key->collection);
    db_param_text(&params, key->path);
    db_statement_limits(conn, write_patience.lock_ms, write_patience.statement_ms);
    r = db_query(conn, query, &params, ret, e);
    if (r < 0)
        r = db_name_grants(conn, r, e);
    db_put(conn);
    return r;
}

static int send_read(struct db_conn *conn, const struct image_key *key, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, key->collection);
    db_param_text(&params, key->path);
    return db_send(conn, &sql_image_get, &params, e);
}

/* *e is set where it fails. What the database's encoding cannot hold is stored nowhere in it; that a key in ASCII is
 * held by every encoding tells it from a row that the client's cannot hold. */
static int receive_read(struct db_conn *conn, const struct image_key *key, struct image **ret, struct error *e)
{
    struct db_result *rows;
    int r = db_recv(conn, &rows, e);
    if (r == DB_BAD_ENCODING && !(utf8_is_ascii(key->collection) && utf8_is_ascii(key->path)))
        return error_set(e, -ENOENT, "is not stored: %s", e->text);
    if (r < 0)
        return r;
    r = db_rows(rows) ? whole_image(rows, ret, e) : error_set(e, -ENOENT, "is not stored");
    db_result_free(rows);
    return r;
}

/* Of the first of `in_flight` reads that the server refuses for a privilege: the others fail alike, and only behind
 * them can it be asked which GRANT is missing. */
static int name_grants(struct db_conn *conn, int in_flight, int code, struct error *e)
{
    while (--in_flight > 0)
        (void)!db_recv(conn, NULL, NULL);
    return db_name_grants(conn, code, e);
}

void tier_db_read(struct tier_db *db, void *const *items, int count, tier_db_got_fn *got, void *arg)
{
    struct db_conn *conn = NULL;
    struct image *image = NULL;
    struct error why;
    int sent = 0;

    int r = db_get(db->pool, &conn, &why);
    if (r == 0)
        db_limit(conn, READ_LIMIT_MS);
    for (int i = 0; i < count; i++) {
        while (r == 0 && sent < count && sent < i + DB_IN_FLIGHT_MAX) {
            r = send_read(conn, items[sent], &why);
            sent += r == 0;
        }
        int outcome = i < sent ? receive_read(conn, items[i], &image, &why) : r;
        if (i < sent && (outcome == DB_NO_PRIVILEGE || outcome == DB_NO_TABLES)) {
            r = name_grants(conn, sent - i, outcome, &why);
            sent = i; /* the rest is told the same */
        }
        got(arg, items[i], outcome == 0 ? image : NULL, &why);
    }
    db_put(conn);
}

struct one_read {
    struct image_key key;
    struct image *image;
    struct error why;
};

static void keep_read(void *arg, void *item, struct image *image, const struct error *why)
{
    struct one_read *one = item;
    (void)arg;
    one->image = image;
    if (!image)
        one->why = *why;
}

int tier_db_read_one(struct tier_db *db, const struct image_key *key, struct image **ret, struct error *e)
{
    struct one_read one = {.key = *key};
    void *item = &one;
    tier_db_read(db, &item, 1, keep_read, NULL);
    if (one.image)
        *ret = one.image;
    else if (e)
        *e = one.why;
    return one.image ? 0 : one.why.code;
}

static void keep_outcome(void *arg, void *tag, const struct error *outcome)
{
    (void)tag;
    *(struct error *)arg = *outcome;
}

int tier_db_write(struct tier_db *db, const struct image *image, struct error *e)
{
    struct tier_db_writer *writer;
    struct error outcome = {0};
    int r = image->bytes ? tier_db_accepts(db, image->meta.size, e) : 0; /* else its bytes are at its URL */
    if (r == 0)
        r = tier_db_writer_open(db, &write_patience, keep_outcome, &outcome, &writer, e);
    if (r < 0)
        return r;
    tier_db_writer_add(writer, &image->meta, image->bytes, TIER_DB_SEEN_ANY, NULL);
    tier_db_writer_close(writer);
    if (outcome.code == -ESTALE) /* whatever the row was, it was to be replaced */
        (void)db_fault_skipped(&outcome);
    if (outcome.code < 0 && e)
        *e = outcome;
    return outcome.code;
}

int tier_db_trash(struct tier_db *db, const struct image_key *key, struct error *e)
{
    struct db_result *rows;
    int r = change_key(db, &sql_image_trash, key, &rows, e);
    if (r < 0)
        return r;
    if (!db_rows(rows))
        r = error_set(e, -ENOENT, "is not stored");
    db_result_free(rows);
    return r;
}
