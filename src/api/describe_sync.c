#include "api/describe_sync.h"

#include <string.h>

#include "api/describe.h"
#include "config/config.h"
#include "store/copies_on_disk.h"

static int add_collection(const struct config *config, const char *name, struct describe_sync *s, struct error *e)
{
    struct describe_sync_collection *c = &s->collections[s->len];
    *c = (struct describe_sync_collection){.name = name, .uploads = uploads_count_of(&s->uploads, name)};
    int r = copies_on_disk_count(config, name, &c->copies, e);
    if (r < 0)
        return r;
    s->copies.images += c->copies.images;
    s->copies.bytes += c->copies.bytes;
    s->len++;
    return 0;
}

static int find_last_sync(struct store *store, struct describe_sync *s, struct error *e)
{
    struct store_status status;
    int r = store_status(store, &status, e);
    for (int i = 0; r == 0 && i < status.jobs_len; i++)
        if (strcmp(status.jobs[i].kind, "sync") == 0) {
            s->last_sync = status.jobs[i];
            s->synced = 1;
        }
    return r;
}

int describe_sync(struct store *store, struct describe_sync *ret, struct error *e)
{
    const struct config *config = store_config(store);
    memset(ret, 0, sizeof *ret);
    int r = uploads_counts(store, &ret->uploads, e);
    if (r == 0)
        r = find_last_sync(store, ret, e);
    for (size_t i = 0; r == 0 && i < config->image_origins_len && ret->len < SYNC_STATS_COLLECTIONS; i++)
        r = add_collection(config, config->image_origins[i].collection, ret, e);
    return r;
}

json_t *describe_sync_describe_uploads(const struct uploads_count *count)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "pending", (json_int_t)count->pending, "failed",
                     (json_int_t)count->failed, "bytes", (json_int_t)count->bytes, "oldest_seconds",
                     (json_int_t)count->oldest_s, "reason", *count->why ? json_string(count->why) : json_null());
}

/* Those that an app would call temporary files. */
static json_int_t unsynced(const struct uploads_count *count)
{
    return count->pending + count->failed;
}

static json_t *last_sync(const struct describe_sync *s)
{
    if (!s->synced)
        return json_null();
    json_t *result = json_loads(s->last_sync.result, 0, NULL);
    return json_pack("{s:s, s:s, s:o, s:o}", "state", s->last_sync.state, "host", s->last_sync.host, "finished_at",
                     describe_time(s->last_sync.finished_us), "result", result ? result : json_object());
}

json_t *describe_sync_describe(const struct describe_sync *s)
{
    json_t *types = json_object();
    for (int i = 0; i < s->len; i++) {
        const struct describe_sync_collection *c = &s->collections[i];
        json_object_set_new(types, c->name,
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "temp_files", unsynced(&c->uploads),
                                      "temp_bytes", (json_int_t)c->uploads.bytes, "pending",
                                      (json_int_t)c->uploads.pending, "failed", (json_int_t)c->uploads.failed,
                                      "cache_files", (json_int_t)c->copies.images, "cache_bytes",
                                      (json_int_t)c->copies.bytes));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "total_temp_files", unsynced(&s->uploads.all),
                     "total_temp_bytes", (json_int_t)s->uploads.all.bytes, "total_cache_files",
                     (json_int_t)s->copies.images, "total_cache_bytes", (json_int_t)s->copies.bytes, "by_type", types,
                     "uploads", describe_sync_describe_uploads(&s->uploads.all), "last_sync", last_sync(s));
}

json_t *describe_sync_describe_one(const struct describe_sync *s, const char *collection, const struct config *config)
{
    struct describe_sync_collection found = {.name = collection, .uploads = uploads_count_of(&s->uploads, collection)};
    for (int i = 0; i < s->len; i++)
        if (strcmp(s->collections[i].name, collection) == 0)
            found = s->collections[i];
    json_t *uploads = describe_sync_describe_uploads(&found.uploads);
    json_object_set_new(uploads, "total_files", json_integer(unsynced(&found.uploads)));
    return json_pack("{s:{s:I, s:I, s:s}, s:o, s:{s:s, s:s, s:i, s:o}}", "cache", "total_files",
                     (json_int_t)found.copies.images, "bytes", (json_int_t)found.copies.bytes, "folder",
                     config->cache_dir, "temp_uploads", uploads, "system", "type", collection, "version",
                     PERDURA_VERSION, "sync_interval_seconds", config->sync_interval_s, "last_sync", last_sync(s));
}
