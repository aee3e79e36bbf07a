/* Temporary uploads: taking them in, and how far they are. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/describe.h"
#include "api/routes.h"
#include "base/metric.h"
#include "codec/url.h"
#include "config/config.h"
#include "http/router.h"
#include "http/upload_form.h"
#include "records/uploads.h"

/* The collection that the URL names, by its last part or, in an app's old URLs, by its first. */
static const char *named_collection(const struct http_transaction *x)
{
    static const struct {
        const char *pattern, *collection;
    } old[] = {{"/pet/upload-temp", "mascotas"}, {"/chats/upload-temp", "chats"}};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (strcmp(x->route->pattern, old[i].pattern) == 0)
            return old[i].collection;
    return x->tail;
}

static const struct image_origin *find_bucket(const struct config *config, const char *name)
{
    size_t n = strcspn(name, "/");
    for (size_t i = 0; i < config->image_origins_len; i++) {
        const struct image_origin *o = &config->image_origins[i];
        if (o->kind == IMAGE_ORIGIN_S3 && strlen(o->collection) == n && strncmp(o->collection, name, n) == 0)
            return o;
    }
    return NULL;
}

void route_upload_begin(struct http_transaction *x)
{
    const char *name = named_collection(x);
    const struct image_origin *origin = find_bucket(store_config(x->service->store), name);
    if (!origin) {
        http_answer_problem(x, 404, "there is no bucket for uploads to \"%.*s\": PERDURA_ORIGINS names none",
                            (int)strnlen(name, strcspn(name, "/") < 64 ? strcspn(name, "/") : 64), name);
        return;
    }
    x->key.collection = origin->collection;
    upload_form_begin(x);
}

void route_upload(struct http_transaction *x)
{
    struct upload upload;
    struct error why;
    const struct spool *photo = upload_form_photo(x);
    if (!photo)
        return;
    if (uploads_put(x->service->store, x->key.collection, photo, &upload, &why) < 0) {
        http_answer_error(x, "the photo", &why);
        return;
    }
    metric_inc(METRIC_uploads);
    metric_add(METRIC_upload_bytes, METRIC_none, METRIC_none, upload.size);
    http_answer_json(x, 201,
                     json_pack("{s:s, s:s, s:s}", "temp_filename", upload.name, "type", upload.collection,
                               "sync_status", "pending"));
    http_add_header(x, "Location", "/sync-status/%s", upload.name);
}

void route_sync_status(struct http_transaction *x)
{
    struct upload_status status;
    struct error why;
    size_t n = strcspn(x->tail, "/"), len;
    char *name = malloc(n + 1);
    if (!name) {
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    x->path = name; /* freed with the exchange */
    if (url_decode_path(name, &len, x->tail, n, &why) < 0) {
        http_answer_problem(x, 400, "the path %s", why.text);
        return;
    }
    if (uploads_status(x->service->store, name, &status, &why) < 0) {
        http_answer_error(x, NULL, &why);
        return;
    }
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "sync_status", status.state, "temp_filename", name, "type",
                  status.collection, "path", status.key, "attempts", (json_int_t)status.attempts, "created_at",
                  describe_time(status.created_us), "completed_at", describe_time(status.completed_us));
    if (*status.why)
        json_object_set_new(body, "reason", json_string(status.why));
    http_answer_json(x, 200, body);
}
