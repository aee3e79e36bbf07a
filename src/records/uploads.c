#include "records/uploads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "codec/base64.h"
#include "codec/sniff.h"
#include "sql.h"
#include "store/store_object.h"
#include "store/store_tiers.h"

#define RANDOM_BYTES 16
#define SNIFF_BYTES  (1 << 20)

static void copy(char *dst, size_t size, const char *text)
{
    snprintf(dst, size, "%.*s", (int)size - 1, text ? text : "");
}

/* Nobody guesses it: whoever knows the name of an upload may ask about it. */
static int make_name(struct upload *u, enum sniff_kind kind, struct error *e)
{
    unsigned char random[RANDOM_BYTES];
    char hex[2 * RANDOM_BYTES + 1], day[16];
    struct tm utc;
    time_t now = (time_t)(clock_realtime_us() / 1000000);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set_sentence(e, -EIO, "no random numbers: %s", strerror(errno));
    digest_hex_bytes(hex, random, sizeof random);
    (void)gmtime_r(&now, &utc);
    (void)strftime(day, sizeof day, "%Y/%m/%d", &utc);
    snprintf(u->name, sizeof u->name, "temp_%s_%lld.%s", hex, (long long)now, sniff_extension(kind));
    snprintf(u->key, sizeof u->key, "temp_uploads/%s/%s", day, u->name);
    return 0;
}

static int look_at(const struct spool *bytes, struct upload *u, struct error *e)
{
    size_t n;
    char *head = malloc(SNIFF_BYTES);
    if (!head)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    int r = spool_read(bytes, 0, head, SNIFF_BYTES, &n);
    struct sniff found = r == 0 ? sniff(head, n) : (struct sniff){0};
    free(head);
    if (r < 0)
        return error_set(e, r, "can't be read again: %s", strerror(-r));
    if (found.kind == SNIFF_NONE)
        return error_set(e, -EMEDIUMTYPE,
                         "is no image of a kind that is kept (JPEG, PNG, GIF, WebP, AVIF, HEIC, BMP, "
                         "TIFF, ICO, SVG)");
    copy(u->mime, sizeof u->mime, sniff_mime(found.kind));
    return make_name(u, found.kind, e);
}

static int put_part(struct store *store, const struct upload *u, int64_t part, const char *text, size_t n,
                    struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, u->name);
    db_param_int(&params, part);
    db_param_bytes(&params, text, n);
    return store_query(store, &sql_upload_part_put, &params, NULL, e);
}

static int put_row(struct store *store, struct upload *u, const char *text, size_t n, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, u->name);
    db_param_text(&params, u->collection);
    db_param_text(&params, u->mime);
    db_param_int(&params, u->size);
    db_param_bytes(&params, u->sha256, sizeof u->sha256);
    db_param_bytes(&params, text, n);
    db_param_int(&params, u->parts);
    db_param_text(&params, u->key);
    int r = store_query(store, &sql_upload_put, &params, &rows, e);
    if (r < 0)
        return r;
    u->id = db_rows(rows) ? db_int(rows, 0, 0) : 0;
    db_result_free(rows);
    return u->id ? 0 : error_set_sentence(e, -EAGAIN, "its parts are gone: send it again");
}

/* Reads `n` bytes at a time, to be stored as parts or, when that is all there is, with the row. */
static int put_bytes(struct store *store, struct upload *u, const struct spool *bytes, size_t n, struct error *e)
{
    struct digest digest;
    char *raw = malloc(n), *text = malloc(base64_encoded_len(n));
    size_t got = 0, len = 0;
    int whole = (int64_t)n >= u->size;
    int r = raw && text ? digest_start(&digest, DIGEST_SHA256) : -ENOMEM;
    if (r < 0) {
        free(raw);
        free(text);
        return error_set_sentence(e, r, "out of memory");
    }
    for (int64_t at = 0; r == 0 && at < u->size; at += (int64_t)got) {
        r = spool_read(bytes, at, raw, n, &got);
        if (r == 0)
            r = digest_add(&digest, raw, got);
        if (r < 0) {
            error_set(e, r, "can't be read again: %s", strerror(-r));
            break;
        }
        len = base64_encode(text, raw, got);
        if (!whole)
            r = put_part(store, u, u->parts++, text, len, e);
    }
    int ended = digest_end(&digest, u->sha256);
    if (r == 0 && ended < 0)
        r = error_set_sentence(e, ended, "no SHA-256: OpenSSL fails");
    if (r == 0)
        r = put_row(store, u, whole ? text : NULL, whole ? len : 0, e);
    free(raw);
    free(text);
    return r;
}

int uploads_put(struct store *store, const char *collection, const struct spool *bytes, struct upload *ret,
                struct error *e)
{
    struct upload u = {.size = bytes->size};
    copy(u.collection, sizeof u.collection, collection);
    int r = look_at(bytes, &u, e);
    int64_t inline_max = store_inline_max(store);
    if (r == 0)
        r = put_bytes(store, &u, bytes, u.size <= inline_max ? (size_t)u.size : UPLOADS_PART_BYTES, e);
    if (r == 0)
        *ret = u;
    return r;
}

int uploads_status(struct store *store, const char *name, struct upload_status *ret, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, name);
    int r = store_query(store, &sql_upload_status, &params, &rows, e);
    if (r < 0)
        return r;
    if (db_rows(rows)) {
        *ret = (struct upload_status){
            .attempts = db_int(rows, 0, 4), .created_us = db_time(rows, 0, 5), .completed_us = db_time(rows, 0, 6)};
        copy(ret->collection, sizeof ret->collection, db_text(rows, 0, 0));
        copy(ret->state, sizeof ret->state, db_text(rows, 0, 1));
        copy(ret->why, sizeof ret->why, db_text(rows, 0, 2));
        copy(ret->key, sizeof ret->key, db_text(rows, 0, 3));
    } else {
        r = error_set(e, -ENOENT, "there is no upload of this name, or it was completed more than %d days ago",
                      UPLOADS_KEPT_DAYS);
    }
    db_result_free(rows);
    return r;
}

static void add(struct uploads_count *sum, const struct uploads_count *count)
{
    sum->pending += count->pending;
    sum->failed += count->failed;
    sum->bytes += count->bytes;
    if (count->oldest_s > sum->oldest_s)
        sum->oldest_s = count->oldest_s;
    if (*count->why)
        copy(sum->why, sizeof sum->why, count->why);
}

int uploads_counts(struct store *store, struct uploads_counts *ret, struct error *e)
{
    struct db_result *rows;
    int r = store_query(store, &sql_upload_counts, NULL, &rows, e);
    if (r < 0)
        return r;
    *ret = (struct uploads_counts){0};
    for (int i = 0; i < db_rows(rows); i++) {
        struct uploads_count count = {.pending = db_int(rows, i, 1),
                                      .failed = db_int(rows, i, 2),
                                      .bytes = db_int(rows, i, 3),
                                      .oldest_s = db_int(rows, i, 4) > 0 ? db_int(rows, i, 4) : 0};
        copy(count.why, sizeof count.why, db_text(rows, i, 5));
        add(&ret->all, &count);
        if (ret->len == UPLOADS_COLLECTIONS)
            continue;
        copy(ret->collections[ret->len].name, sizeof ret->collections[0].name, db_text(rows, i, 0));
        ret->collections[ret->len++].count = count;
    }
    db_result_free(rows);
    return 0;
}

struct uploads_count uploads_count_of(const struct uploads_counts *counts, const char *collection)
{
    for (int i = 0; i < counts->len; i++)
        if (strcmp(counts->collections[i].name, collection) == 0)
            return counts->collections[i].count;
    return (struct uploads_count){0};
}
