#include "api/image_store.h"

#include <errno.h>

#include "api/api.h"
#include "api/describe.h"
#include "api/image_answer.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metric.h"
#include "http/body.h"
#include "store/store.h"
#include "store/store_object.h"
#include "watch/watch.h"

/* One request of this instance writes an image at a time: nobody comes between the look at the conditions and the
 * write, and files change in the order of the commits. Images share these by their key's hash. */
#define LOCKS 64
static struct lock locks[LOCKS] = {[0 ... LOCKS - 1] = LOCK_INIT(image_write)};

static struct lock *lock_of(const struct image_key *key)
{
    return &locks[image_key_hash(key) % LOCKS];
}

static int is_conditional(const struct http_transaction *x)
{
    return http_header(x, "If-Match") || http_header(x, "If-None-Match") || http_header(x, "If-Unmodified-Since");
}

/* 0, or it is answered. */
static int conditions_hold(struct http_transaction *x, const struct image_key *key)
{
    struct conditional_current now = {0};
    char etag[CONDITIONAL_ETAG_SIZE];
    struct store_page *page;
    struct image_meta meta;
    struct error why;
    int r = store_info(x->service->store, key, &page, &why);
    if (r < 0 && r != -ENOENT) {
        http_answer_error(x, "the image", &why);
        return r;
    }
    if (r == 0) {
        store_page_meta(page, 0, &meta);
        if (!meta.deleted_us)
            now = (struct conditional_current){conditional_etag(etag, meta.sha256), meta.mtime_ns / 1000000000};
        store_page_free(page);
    }
    return image_conditions(x, CONDITIONAL_WRITE, &now);
}

/* The image is stored, and its file is where it belongs, or not. */
static json_t *describe_written(const struct image_meta *meta, enum store_written written, const struct error *disk)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:i, s:b, s:b}", "collection", meta->key.collection,
                               "original_path", meta->key.path, "content_type_header", meta->mime, "file_size",
                               (json_int_t)meta->size, "state", "persisted", "width", meta->width, "height",
                               meta->height, "unchanged", written == STORE_UNCHANGED, "on_disk", !disk->code);
    if (disk->code) {
        json_object_set_new(object, "disk_error", json_string(disk->text));
        log_event(LOG_WARN, "upload not on disk", LOG_STR("collection", meta->key.collection),
                  LOG_STR("path", meta->key.path), LOG_STR("error", disk->text));
    }
    return object;
}

static void put(struct http_transaction *x, struct image_meta *meta)
{
    struct error why, disk;
    enum store_written written;
    char etag[CONDITIONAL_ETAG_SIZE];
    int r = x->body_fd < 0 ? store_write(x->service->store, meta, x->body.data, &written, &why)
                           : store_write_file(x->service->store, meta, x->body_fd, &written, &why);
    disk = why;
    if (r == 0 && written == STORE_UNCHANGED && meta->content_type) /* it may have been given another image since */
        r = store_assign(x->service->store, &meta->key, meta->content_type, meta->object_id, meta->variant, &why);
    if (r < 0) {
        http_answer_error(x, "the body", &why);
        return;
    }
    if (x->service->watch)
        watch_expect(x->service->watch, meta);
    if (written != STORE_UNCHANGED) {
        metric_inc(METRIC_persisted);
        metric_add(METRIC_persisted_bytes, METRIC_none, METRIC_none, meta->size);
        metric_observe(METRIC_persist_seconds, METRIC_none, METRIC_none, clock_realtime_us() - x->started_us);
    }
    http_answer_json(x, written == STORE_CREATED ? 201 : 200, describe_written(meta, written, &disk));
    http_add_header(x, "ETag", "%s", conditional_etag(etag, meta->sha256));
}

/* What takes long, before anybody is kept waiting. What was put in vain is removed some day. */
static int offer(struct http_transaction *x, struct image_meta *meta, char url[IMAGE_URL_SIZE])
{
    struct error why;
    int r = store_offer_file(x->service->store, meta, x->body_fd, url, &why);
    if (r < 0)
        http_answer_error(x, "the body", &why);
    return r;
}

void image_store_put(struct http_transaction *x, struct image_meta *meta)
{
    char url[IMAGE_URL_SIZE];
    struct error why;
    if (x->body_fd >= 0 && !http_body_is_large(x) && http_body_load(x, &why) < 0) {
        http_answer_error(x, "the body", &why);
        return;
    }
    meta->size = x->body_bytes;
    meta->mtime_ns = clock_file_us() * 1000; /* a file that is written next must not seem older */
    if (x->body_fd >= 0 && offer(x, meta, url) < 0)
        return;
    struct lock *lock = lock_of(&meta->key);
    lock_take(lock);
    if (!is_conditional(x) || conditions_hold(x, &meta->key) == 0)
        put(x, meta);
    lock_give(lock);
}

static void delete (struct http_transaction *x)
{
    struct error why;
    if (store_delete(x->service->store, &x->key, STORE_DELETE_SAFE, &why) < 0)
        http_answer_error(x, "the image", &why);
    else
        http_answer_empty(x, 204);
}

void image_store_delete(struct http_transaction *x)
{
    struct lock *lock = lock_of(&x->key);
    lock_take(lock);
    if (!is_conditional(x) || conditions_hold(x, &x->key) == 0)
        delete (x);
    lock_give(lock);
}
