/* What operators and platforms ask: is it alive, is it ready, what is it doing. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/describe.h"
#include "api/describe_sync.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/metric.h"
#include "client/db_fault.h"
#include "config/config.h"
#include "feed/feed.h"
#include "stats/adaptive.h"
#include "store/store.h"
#include "watch/watch.h"

#define FLUSH_MS          60000
#define OBJECTS_MS        1000
#define FILES_LISTED      100
#define KINDS_LISTED      20
#define METRICS_MAX_BYTES (1 << 20)

/* Of what the tiers know, without asking them. */
void route_health(struct http_transaction *x)
{
    const struct config *config = store_config(x->service->store);
    int redis_up = metric_get(METRIC_tier_up, METRIC_tier_redis, METRIC_none) != 0;
    int db_up = metric_get(METRIC_tier_up, METRIC_tier_db, METRIC_none) != 0;
    json_t *body = json_pack("{s:s, s:s, s:s}", "status", "ok", "redis",
                             !config->redis.hosts_len ? "off"
                             : redis_up               ? "connected"
                                                      : "error",
                             "database", db_up ? "up" : "down");
    if (x->detailed)
        json_object_set_new(body, "version", json_string(PERDURA_VERSION));
    http_answer_json(x, 200, body);
}

static json_t *describe_watch(struct watch *watch)
{
    static const char *const modes[] = {"events", "rescanning", "polling"};
    struct watch_status s;
    if (!watch)
        return json_null();
    watch_status(watch, &s);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:b}", "mode", modes[s.mode], "why",
                     s.why, "folders", (json_int_t)s.folders, "pending", (json_int_t)s.pending, "pending_bytes",
                     (json_int_t)s.pending_bytes, "failed", (json_int_t)s.failed, "not_kept", (json_int_t)s.not_kept,
                     "older", (json_int_t)s.older, "oldest_pending_seconds", (double)s.oldest_pending_ms / 1000,
                     "persisted", (json_int_t)s.persisted, "rescans", (json_int_t)s.rescans, "overflows",
                     (json_int_t)s.overflows, "deletes_stopped", s.deletes_stopped);
}

static json_t *describe_adaptive(struct adaptive *adaptive)
{
    if (!adaptive)
        return json_pack("{s:b, s:n, s:n, s:n, s:n}", "on", 0, "ttl", "items", "peak", "hour_requests");
    struct adaptive_limits limits = adaptive_limits(adaptive);
    return json_pack("{s:b, s:i, s:i, s:b, s:I}", "on", 1, "ttl", limits.ttl_s, "items", limits.items, "peak",
                     limits.peak, "hour_requests", (json_int_t)limits.hour_requests);
}

static json_t *describe_feed(struct feed *feed)
{
    struct feed_status s;
    if (!feed)
        return json_null();
    feed_status(feed, &s);
    return json_pack("{s:s, s:s, s:f, s:I}", "mode", s.mode_name, "why", s.why, "lag_seconds", (double)s.lag_ms / 1000,
                     "stale_files", (json_int_t)s.stale_files);
}

static void add_file(void *arg, const struct watch_file *f)
{
    json_t *file = json_pack("{s:s, s:s, s:s, s:f}", "collection", f->key.collection, "path", f->key.path, "state",
                             f->state == WATCH_FAILED  ? "failed"
                             : f->state == WATCH_OLDER ? "older"
                                                       : "pending",
                             "age_seconds", (double)f->age_ms / 1000);
    if (f->why[0])
        json_object_set_new(file, "reason", json_string(f->why));
    json_array_append_new(arg, file);
}

static void add_not_kept(void *arg, const struct watch_file *f)
{
    json_array_append_new(arg, json_pack("{s:s, s:s}", "collection", f->key.collection, "path", f->key.path));
}

/* Adds "unpersisted", what failed first, and "not_kept_files": neither list has more than FILES_LISTED members. */
static void add_files(struct watch *watch, json_t *body)
{
    struct watch_kind kinds[KINDS_LISTED];
    json_t *unpersisted = json_array(), *not_kept = json_array(), *by_kind = json_object();
    if (watch) {
        watch_list(watch, WATCH_FAILED, FILES_LISTED, add_file, unpersisted);
        watch_list(watch, WATCH_PENDING | WATCH_OLDER, FILES_LISTED - (int)json_array_size(unpersisted), add_file,
                   unpersisted);
        watch_list(watch, WATCH_NOT_KEPT, FILES_LISTED, add_not_kept, not_kept);
        int n = watch_kinds(watch, kinds, KINDS_LISTED);
        for (int i = 0; i < n; i++)
            json_object_set_new(by_kind, kinds[i].name, json_integer(kinds[i].files));
    }
    json_object_set_new(body, "unpersisted", unpersisted);
    json_object_set_new(body, "not_kept_files", json_pack("{s:o, s:o}", "kinds", by_kind, "files", not_kept));
}

/* What waits for its bucket; null when the database does not tell. */
static json_t *uploads_state(struct store *store)
{
    struct uploads_counts counts;
    return uploads_counts(store, &counts, NULL) < 0 ? json_null() : describe_sync_describe_uploads(&counts.all);
}

static json_t *cleanup_state(struct store *store)
{
    struct store_cleanup_status status;
    return store_cleanup_status(store, &status, NULL) < 0 ? json_null() : describe_cleanup(&status);
}

static json_t *redis_state(struct http_transaction *x)
{
    struct store_redis_status s;
    store_redis_status(x->service->store, store_config(x->service->store)->redis_timeout_ms, &s);
    return describe_redis(&s);
}

static json_t *objects_state(struct http_transaction *x)
{
    struct store_objects_status s;
    store_objects_status(x->service->store, OBJECTS_MS, &s);
    return describe_objects(&s);
}

/* What a tier holds; -1: that is not known. */
struct holding {
    int64_t items, bytes;
};

static json_t *tier_json(const char *name, json_t *up, const struct holding *holding)
{
    enum metric_value tier = metric_tier(name);
    int64_t reads = metric_get(METRIC_reads, tier, METRIC_none);
    int64_t misses = metric_get(METRIC_read_misses, tier, METRIC_none);
    return json_pack("{s:s, s:o, s:I, s:o, s:o, s:o}", "name", name, "up", up, "reads", (json_int_t)reads, "hit_rate",
                     reads + misses ? json_real((double)reads / (double)(reads + misses)) : json_null(), "items",
                     holding->items < 0 ? json_null() : json_integer(holding->items), "bytes",
                     holding->bytes < 0 ? json_null() : json_integer(holding->bytes));
}

/* In the order of reading. `up` is null for a tier that is not there. */
static json_t *tiers_json(struct http_transaction *x, const struct store_status *status, const json_t *redis)
{
    const struct config *config = store_config(x->service->store);
    const struct store_status_collection total = describe_total(status);
    const struct holding unknown = {-1, -1}, all = {total.images, total.bytes};
    const struct holding memory = {metric_get(METRIC_tier_items, METRIC_tier_memory, METRIC_none),
                                   metric_get(METRIC_tier_bytes, METRIC_tier_memory, METRIC_none)};
    const char *state = json_string_value(json_object_get(redis, "state"));
    int origin_up = metric_get(METRIC_tier_up, METRIC_tier_origin, METRIC_none) != 0;
    json_t *list = json_array();
    json_array_append_new(list, tier_json("memory", config->memory_items ? json_true() : json_null(), &memory));
    json_array_append_new(list, tier_json("disk", json_true(), &unknown));
    json_array_append_new(list,
                          tier_json("redis", state ? json_boolean(strcmp(state, "down") != 0) : json_null(), &unknown));
    json_array_append_new(list, tier_json("db", json_true(), &all)); /* it has just answered */
    json_array_append_new(
        list, tier_json("origin", config->image_origins_len ? json_boolean(origin_up) : json_null(), &unknown));
    return list;
}

static json_t *warnings_json(const struct config *config)
{
    json_t *list = json_array();
    for (size_t i = 0; i < config->warnings_len; i++)
        json_array_append_new(list, json_string(config->warnings[i]));
    return list;
}

/* Of this instance. */
static void add_instance(struct http_transaction *x, json_t *body)
{
    char host[256] = "";
    int64_t started_us = metric_get(METRIC_start_time_seconds, METRIC_none, METRIC_none);
    (void)gethostname(host, sizeof host - 1);
    json_object_set_new(body, "version", json_string(PERDURA_VERSION));
    json_object_set_new(body, "host", json_string(host));
    json_object_set_new(body, "uptime_seconds", json_integer((clock_realtime_us() - started_us) / 1000000));
    json_object_set_new(body, "settings_warnings", warnings_json(store_config(x->service->store)));
}

static void watch_status_of(struct http_transaction *x, struct watch_status *ret)
{
    *ret = (struct watch_status){0};
    if (x->service->watch)
        watch_status(x->service->watch, ret);
}

/* What the server has told the watcher goes beyond what we asked: its disk may be full, or it let us wait in vain. Only
 * that the watcher could not reach it does not count: our own question is newer. */
static const struct error *database_reason(const struct watch_status *watch, const struct error *asked)
{
    int is_told = watch->database.code && db_fault_state(watch->database.code) != DB_STATE_UNREACHABLE;
    return is_told ? &watch->database : asked;
}

static json_t *database_state(const struct watch_status *watch, const struct store_status *status)
{
    const struct error *why = database_reason(watch, &status->writing);
    json_t *body = describe_database(why);
    if (!why->code)
        json_object_set_new(body, "detail", json_string(status->server_version));
    return body;
}

static json_t *database_failure(const struct watch_status *watch, const struct error *why)
{
    int is_unreachable = db_fault_state(why->code) == DB_STATE_UNREACHABLE;
    return describe_database(is_unreachable ? database_reason(watch, why) : why);
}

void route_status(struct http_transaction *x)
{
    struct store_status status;
    struct watch_status watch;
    struct error why;
    if (store_status(x->service->store, &status, &why) < 0) {
        http_answer_error(x, NULL, &why);
        return;
    }
    watch_status_of(x, &watch);
    json_t *body = describe_status(&status);
    json_object_set_new(body, "database", database_state(&watch, &status));
    json_object_set_new(body, "uploads", uploads_state(x->service->store));
    json_object_set_new(body, "redis", redis_state(x));
    json_object_set_new(body, "tiers", tiers_json(x, &status, json_object_get(body, "redis")));
    add_instance(x, body);
    json_object_set_new(body, "object_storage", objects_state(x));
    json_object_set_new(body, "watch", describe_watch(x->service->watch));
    json_object_set_new(body, "cleanup", cleanup_state(x->service->store));
    json_object_set_new(body, "adaptive", describe_adaptive(x->service->adaptive));
    json_object_set_new(body, "feed", describe_feed(x->service->feed));
    add_files(x->service->watch, body);
    http_answer_json(x, 200, body);
}

/* What anybody may know of a part. */
static const char *const open_keys[] = {"state",   "mode",   "lag_seconds",    "stale_files",
                                        "pending", "failed", "oldest_seconds", NULL};

static json_t *states_only(json_t *part)
{
    json_t *open = json_object();
    for (int i = 0; open_keys[i] && json_is_object(part); i++)
        if (json_object_get(part, open_keys[i]))
            json_object_set(open, open_keys[i], json_object_get(part, open_keys[i]));
    json_t *result = json_is_object(part) ? json_incref(open) : json_null();
    json_decref(open);
    json_decref(part);
    return result;
}

static void add_part(struct http_transaction *x, json_t *body, const char *name, json_t *part)
{
    json_object_set_new(body, name, x->detailed ? part : states_only(part));
}

/* Ready as long as what is asked for can be served: without the database only what is on disk or in Redis can. Without
 * Redis all is served, only slower; without object storage large images are that are on disk. */
void route_ready(struct http_transaction *x)
{
    struct store_status status;
    struct error why = {0};
    struct watch_status watch;
    int r = store_status(x->service->store, &status, &why);
    watch_status_of(x, &watch);
    json_t *body = json_pack("{s:b, s:I, s:I, s:I, s:I, s:f}", "ready", r == 0, "pending", (json_int_t)watch.pending,
                             "failed", (json_int_t)watch.failed, "not_kept", (json_int_t)watch.not_kept, "older",
                             (json_int_t)watch.older, "oldest_pending_seconds", (double)watch.oldest_pending_ms / 1000);
    add_part(x, body, "database", r < 0 ? database_failure(&watch, &why) : database_state(&watch, &status));
    add_part(x, body, "uploads", r == 0 ? uploads_state(x->service->store) : json_null());
    add_part(x, body, "redis", redis_state(x));
    add_part(x, body, "object_storage", objects_state(x));
    add_part(x, body, "feed", describe_feed(x->service->feed));
    if (x->detailed)
        add_files(x->service->watch, body);
    if (r == 0)
        json_object_set_new(body, "schema", json_string(describe_schema(status.schema)));
    int is_ready = r == 0 && status.schema != STORE_SCHEMA_FORBIDS;
    json_object_set_new(body, "ready", json_boolean(is_ready));
    http_answer_json(x, is_ready ? 200 : 503, body);
}

void route_metrics(struct http_transaction *x)
{
    struct buf text;
    buf_init(&text, METRICS_MAX_BYTES);
    if (metric_print(&text) < 0) {
        buf_release(&text);
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    http_answer_text(x, 200, METRIC_CONTENT_TYPE, text.data, text.len);
    http_add_header(x, "Cache-Control", "no-store");
}

void route_flush(struct http_transaction *x)
{
    struct error why;
    if (!x->service->watch) {
        http_answer_unset(x, "nothing is watched here");
        return;
    }
    int r = watch_flush(x->service->watch, clock_monotonic_ms() + FLUSH_MS, &why);
    struct watch_status s;
    watch_status(x->service->watch, &s);
    json_t *body =
        json_pack("{s:b, s:I, s:I, s:I, s:I}", "persisted", r == 0, "pending", (json_int_t)s.pending, "failed",
                  (json_int_t)s.failed, "not_kept", (json_int_t)s.not_kept, "older", (json_int_t)s.older);
    add_files(x->service->watch, body);
    if (r == 0)
        http_answer_json(x, 200, body);
    else /* what failed does so again until somebody mends it */
        http_answer_problem_json(x, r == -EIO ? 409 : 503, body, why.text);
}
