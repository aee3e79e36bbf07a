#include "api/describe.h"

#include "base/clock.h"
#include "client/db_fault.h"

json_t *describe_time(int64_t us)
{
    char text[CLOCK_ISO_SIZE];
    return us ? json_string(clock_iso(text, us)) : json_null();
}

json_t *describe_image(const struct image_meta *meta)
{
    char sha256[DIGEST_HEX_SIZE];
    digest_hex(sha256, meta->sha256);
    return json_pack(
        "{s:I, s:s, s:s, s:s?, s:s?, s:s?, s:s, s:s?, s:I, s:s, s:i, s:i, s:o, s:I, s:o, s:o, s:o, s:I, s:o}", "id",
        (json_int_t)meta->id, "collection", meta->key.collection, "original_path", meta->key.path, "content_type",
        meta->content_type, "object_id", meta->object_id, "variant", meta->variant, "content_type_header", meta->mime,
        "image_url", meta->url, "file_size", (json_int_t)meta->size, "sha256", sha256, "width", meta->width, "height",
        meta->height, "source_mtime", describe_time(meta->mtime_ns / 1000), "source_mtime_ns",
        (json_int_t)meta->mtime_ns, "created_at", describe_time(meta->created_us), "updated_at",
        describe_time(meta->updated_us), "last_accessed", describe_time(meta->accessed_us), "access_count",
        (json_int_t)meta->access_count, "deleted_at", describe_time(meta->deleted_us));
}

static json_t *collections_json(const struct store_status *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->collections_len; i++) {
        const struct store_status_collection *c = &s->collections[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", c->name, "images",
                                              (json_int_t)c->images, "bytes", (json_int_t)c->bytes, "linked_images",
                                              (json_int_t)c->linked_images, "linked_bytes", (json_int_t)c->linked_bytes,
                                              "trash_images", (json_int_t)c->trash_images, "trash_bytes",
                                              (json_int_t)c->trash_bytes));
    }
    return list;
}

static json_t *jobs_json(const struct store_status *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->jobs_len; i++) {
        const struct store_status_job *j = &s->jobs[i];
        json_t *result = json_loads(j->result, 0, NULL);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "kind", j->kind, "state", j->state, "host",
                                        j->host, "started_at", describe_time(j->started_us), "finished_at",
                                        describe_time(j->finished_us), "result", result ? result : json_object()));
    }
    return list;
}

struct store_status_collection describe_total(const struct store_status *s)
{
    struct store_status_collection sum = {0};
    for (int i = 0; i < s->collections_len; i++) {
        sum.images += s->collections[i].images;
        sum.bytes += s->collections[i].bytes;
        sum.trash_images += s->collections[i].trash_images;
        sum.trash_bytes += s->collections[i].trash_bytes;
    }
    return sum;
}

const char *describe_schema(enum store_schema schema)
{
    static const char *const names[] = {[STORE_SCHEMA_CURRENT] = "current",
                                        [STORE_SCHEMA_OLDER] = "older",
                                        [STORE_SCHEMA_NEWER] = "newer",
                                        [STORE_SCHEMA_FORBIDS] = "newer, writes refused"};
    return names[schema];
}

json_t *describe_status(const struct store_status *s)
{
    struct store_status_collection sum = describe_total(s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:I, s:s, s:I, s:o, s:o}", "images", (json_int_t)sum.images,
                     "bytes", (json_int_t)sum.bytes, "trash_images", (json_int_t)sum.trash_images, "trash_bytes",
                     (json_int_t)sum.trash_bytes, "stored_bytes", (json_int_t)s->stored_bytes, "database",
                     describe_database(&s->writing), "server_version", s->server_version, "migration",
                     (json_int_t)s->migration, "schema", describe_schema(s->schema), "listeners",
                     (json_int_t)s->listeners, "collections", collections_json(s), "jobs", jobs_json(s));
}

json_t *describe_database(const struct error *why)
{
    enum db_state state = db_fault_state(why->code);
    if (why->code && state == DB_STATE_UP) /* it answers, with a failure */
        state = DB_STATE_FAILING;
    return json_pack("{s:s, s:s}", "state", db_state_name(state), "detail", why->code ? why->text : "");
}

json_t *describe_redis(const struct store_redis_status *s)
{
    if (!s->configured)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:i, s:i}", "state", s->state, "server", s->server, "detail",
                     s->why, "connections", s->connections, "connections_in_use", s->connections_in_use, "errors",
                     (json_int_t)s->errors, "owed_drops", s->owed, "ttl_seconds", s->ttl_s);
}

json_t *describe_objects(const struct store_objects_status *s)
{
    if (!s->configured)
        return json_null();
    return json_pack("{s:s, s:s, s:s}", "state", s->up ? "up" : "down", "where", s->where, "detail", s->why);
}

json_t *describe_cleanup(const struct store_cleanup_status *s)
{
    json_t *days = s->days ? json_integer(s->days) : json_null();
    json_t *refused = s->days && *s->use_error ? json_string(s->use_error) : json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:I, s:I}", "days", days, "last", describe_time(s->at_us),
                     "use_known_since", describe_time(s->use_since_us), "refused", refused, "announced_images",
                     (json_int_t)s->announced, "announced_from", describe_time(s->announced_from_us),
                     "cleaned_up_images", (json_int_t)s->cleaned_up, "undecided_images", (json_int_t)s->undecided);
}

json_t *describe_problem(const struct image_key *key, const struct error *why)
{
    return json_pack("{s:s?, s:s, s:s}", "collection", key->collection, "path", key->path, "error", why->text);
}

json_t *describe_job(struct job *job)
{
    json_t *object = json_object();
    for (int i = 0; i < JOB_COUNTERS && job->counters[i].name; i++)
        json_object_set_new(object, job->counters[i].name, json_integer(job_counted(job, i)));
    json_object_set_new(object, "bytes", json_integer(atomic_load(&job->bytes)));
    json_object_set_new(object, "seconds", json_real((double)(clock_realtime_us() - job->started_us) / 1e6));
    json_object_set_new(object, "dry_run", json_boolean(job->dry_run));
    return object;
}
