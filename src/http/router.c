#include "http/router.h"

#include <stdio.h>
#include <string.h>

#include "config/listvalue.h"
#include "http/routes.h"

/* The collections' own URLs ("/media/...") stand first, for they are asked for most; none of them is one of the others
 * (config/collections.c). */
const struct http_route http_routes[] = {
    {METRIC_route_media, NULL, HTTP_GET | HTTP_HEAD, HTTP_OPEN_TO_ALL, HTTP_HERE, HTTP_NO_BODY, route_image_get},
    {METRIC_route_media, NULL, HTTP_PUT, HTTP_TOKEN, HTTP_WORKER, HTTP_IMAGE_BODY, route_image_put},
    {METRIC_route_media, NULL, HTTP_DELETE, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY, route_image_delete},
    {METRIC_route_media, NULL, HTTP_PURGE, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY, route_image_purge},
    {METRIC_route_health, "/health", HTTP_GET | HTTP_HEAD, HTTP_DETAILS, HTTP_HERE, HTTP_NO_BODY, route_health},
    {METRIC_route_ready, "/ready", HTTP_GET | HTTP_HEAD, HTTP_DETAILS, HTTP_WORKER, HTTP_NO_BODY, route_ready},
    {METRIC_route_metrics, "/metrics", HTTP_GET | HTTP_HEAD, HTTP_METRICS, HTTP_HERE, HTTP_NO_BODY, route_metrics},
    {METRIC_route_image_cache, "/image-cache/status", HTTP_GET | HTTP_HEAD, HTTP_STATS, HTTP_WORKER, HTTP_NO_BODY,
     route_status},
    {METRIC_route_image_cache, "/image-cache/cache-all", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY,
     route_cache_all},
    {METRIC_route_image_cache, "/image-cache/cleanup", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY,
     route_cleanup},
    {METRIC_route_image_cache, "/image-cache/restore", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY,
     route_restore},
    {METRIC_route_image_cache, "/image-cache/warmup", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY, route_warmup},
    {METRIC_route_image_cache, "/image-cache/invalidate", HTTP_POST, HTTP_TOKEN, HTTP_WORKER, HTTP_SMALL_BODY,
     route_invalidate},
    {METRIC_route_image_cache, "/image-cache/flush", HTTP_POST, HTTP_TOKEN, HTTP_PATIENT, HTTP_SMALL_BODY, route_flush},
    {METRIC_route_image_cache, "/image-cache/images", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_images_list},
    {METRIC_route_image_cache, "/image-cache/images/bulk", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY,
     route_images_bulk},
    {METRIC_route_image_cache, "/image-cache/images/{}", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_images_get},
    {METRIC_route_image_cache, "/image-cache/images/{}/content", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER,
     HTTP_NO_BODY, route_images_content},
    {METRIC_route_image_cache, "/image-cache/images/{}", HTTP_PATCH, HTTP_TOKEN, HTTP_WORKER, HTTP_SMALL_BODY,
     route_images_patch},
    {METRIC_route_image_cache, "/image-cache/images/{}", HTTP_DELETE, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_images_delete},
    {METRIC_route_image_cache, "/image-cache/jobs/{}", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_job},
    {METRIC_route_image_cache, "/image-cache/jobs/{}", HTTP_DELETE, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_job_cancel},
    {METRIC_route_image_cache, "/image-cache/jobs", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_jobs_list},
    {METRIC_route_image_cache, "/image-cache/uploads", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_uploads_list},
    {METRIC_route_image_cache, "/image-cache/history", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_history},
    {METRIC_route_image_cache, "/image-cache/settings", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_HERE, HTTP_NO_BODY,
     route_settings},
    {METRIC_route_image_cache, "/image-cache/check", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY, route_check},
    {METRIC_route_image_cache, "/image-cache/fsck", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY, route_fsck},
    {METRIC_route_image_cache, "/image-cache/sync", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY,
     route_force_sync},
    {METRIC_route_image_cache, "/image-cache/jobs/{}/events", HTTP_GET | HTTP_HEAD, HTTP_TOKEN, HTTP_HERE, HTTP_NO_BODY,
     route_job_events},
    {METRIC_route_api_images, "/api/images/{}/{}/{}", HTTP_GET | HTTP_HEAD, HTTP_OPEN_TO_ALL, HTTP_HERE, HTTP_NO_BODY,
     route_entity_get},
    {METRIC_route_api_images, "/api/images/{}/{}/{}", HTTP_PUT, HTTP_TOKEN, HTTP_WORKER, HTTP_IMAGE_BODY,
     route_entity_put},
    {METRIC_route_proxy_image, "/proxy-image/{}/*", HTTP_GET | HTTP_HEAD, HTTP_OPEN_TO_ALL, HTTP_HERE, HTTP_NO_BODY,
     route_proxy_get},
    {METRIC_route_proxy_image, "/proxy-image/{}/*", HTTP_PURGE, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_proxy_purge},
    {METRIC_route_proxy_image, "/pet/proxy-image/*", HTTP_GET | HTTP_HEAD, HTTP_OPEN_TO_ALL, HTTP_HERE, HTTP_NO_BODY,
     route_pet_proxy_get},
    {METRIC_route_proxy_image, "/pet/proxy-image/*", HTTP_PURGE, HTTP_TOKEN, HTTP_WORKER, HTTP_NO_BODY,
     route_pet_proxy_purge},
    {METRIC_route_upload_temp, "/upload-temp/{}", HTTP_POST, HTTP_UPLOAD, HTTP_WORKER, HTTP_FORM_BODY, route_upload},
    {METRIC_route_upload_temp, "/pet/upload-temp", HTTP_POST, HTTP_UPLOAD, HTTP_WORKER, HTTP_FORM_BODY, route_upload},
    {METRIC_route_upload_temp, "/chats/upload-temp", HTTP_POST, HTTP_UPLOAD, HTTP_WORKER, HTTP_FORM_BODY, route_upload},
    {METRIC_route_sync, "/sync-status/{}", HTTP_GET | HTTP_HEAD, HTTP_STATS, HTTP_WORKER, HTTP_NO_BODY,
     route_sync_status},
    {METRIC_route_sync, "/pet/sync-status/{}", HTTP_GET | HTTP_HEAD, HTTP_STATS, HTTP_WORKER, HTTP_NO_BODY,
     route_sync_status},
    {METRIC_route_sync, "/force-sync", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY, route_force_sync},
    {METRIC_route_sync, "/pet/force-sync", HTTP_POST, HTTP_TOKEN, HTTP_HERE, HTTP_SMALL_BODY, route_force_sync},
    {METRIC_route_cache_stats, "/cache-stats", HTTP_GET | HTTP_HEAD, HTTP_STATS, HTTP_WORKER, HTTP_NO_BODY,
     route_cache_stats},
    {METRIC_route_cache_stats, "/pet/cache-stats", HTTP_GET | HTTP_HEAD, HTTP_STATS, HTTP_WORKER, HTTP_NO_BODY,
     route_pet_cache_stats},
    {METRIC_route_admin, "/admin", HTTP_GET | HTTP_HEAD, HTTP_OPEN_TO_ALL, HTTP_HERE, HTTP_NO_BODY, route_admin_page},
    {METRIC_route_admin, "/admin/login", HTTP_POST, HTTP_OPEN_TO_ALL, HTTP_ALONE, HTTP_LOGIN_BODY, route_admin_login},
    {METRIC_route_admin, "/admin/session", HTTP_GET | HTTP_HEAD, HTTP_SESSION, HTTP_HERE, HTTP_NO_BODY,
     route_admin_session},
    {METRIC_route_admin, "/admin/logout", HTTP_POST, HTTP_SESSION, HTTP_WORKER, HTTP_LOGIN_BODY, route_admin_logout},
    {METRIC_route_admin, "/admin/*", HTTP_GET | HTTP_HEAD, HTTP_OPEN_TO_ALL, HTTP_HERE, HTTP_NO_BODY, route_admin_file},
    {0},
};

static const struct {
    const char *name;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},       {"HEAD", HTTP_HEAD},   {"PUT", HTTP_PUT},     {"POST", HTTP_POST},
    {"DELETE", HTTP_DELETE}, {"PATCH", HTTP_PATCH}, {"PURGE", HTTP_PURGE},
};
#define METHODS (sizeof methods / sizeof *methods)

enum http_method http_method_named(const char *name)
{
    for (size_t i = 0; i < METHODS; i++)
        if (strcmp(name, methods[i].name) == 0)
            return methods[i].method;
    return 0;
}

const char *http_methods_text(unsigned set, char ret[64])
{
    size_t n = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < METHODS; i++)
        if (set & methods[i].method)
            n += (size_t)snprintf(ret + n, 64 - n, "%s%s", n ? ", " : "", methods[i].name);
    return ret;
}

/* Where the path goes on behind `prefix`, which is whole segments of it; else NULL. */
static const char *behind(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && (path[n] == '/' || path[n] == '\0') ? path + n : NULL;
}

/* Compares segment by segment; "{}" stands for any one, "*" at the end for all that follow. *ret_tail is set to the
 * first of those. */
static int matches(const char *pattern, const char *path, const char **ret_tail)
{
    const char *tail = NULL;
    while (*pattern == '/' && *path == '/') {
        size_t in_pattern = strcspn(++pattern, "/"), in_path = strcspn(++path, "/");
        if (in_pattern == 2 && memcmp(pattern, "{}", 2) == 0) {
            if (!in_path)
                return 0;
            tail = tail ? tail : path;
        } else if (in_pattern == 1 && *pattern == '*') {
            *ret_tail = tail ? tail : path;
            return *path != '\0';
        } else if (in_pattern != in_path || memcmp(pattern, path, in_path) != 0) {
            return 0;
        }
        pattern += in_pattern;
        path += in_path;
    }
    if (*pattern || (*path && strcmp(path, "/") != 0))
        return 0;
    *ret_tail = tail;
    return 1;
}

static int matches_collection(const struct config *config, struct http_exchange *x, const char **ret_tail)
{
    for (size_t i = 0; i < config->collections_len; i++) {
        const char *url = config->collections[i].url;
        const char *rest = url ? behind(x->raw_path, url) : NULL;
        if (rest && rest[0] == '/' && rest[1]) {
            x->key.collection = config->collections[i].name;
            *ret_tail = rest + 1;
            return 1;
        }
    }
    return 0;
}

/* Behind one of the prefixes of PERDURA_API_PREFIX, or the whole path. */
static const char *without_prefix(const struct config *config, const char *path)
{
    const char *list = config->api_prefix, *prefix;
    size_t n;
    while (list && (prefix = listvalue_next(&list, &n)))
        if (strncmp(path, prefix, n) == 0 && path[n] == '/')
            return path + n;
    return path;
}

int http_router_find(struct http_exchange *x, const struct config *config, unsigned *ret_allow)
{
    const char *path = without_prefix(config, x->raw_path);
    const char *tail;
    *ret_allow = 0;
    for (const struct http_route *route = http_routes; route->handler; route++) {
        int fits = route->pattern ? matches(route->pattern, path, &tail) : matches_collection(config, x, &tail);
        if (!fits)
            continue;
        *ret_allow |= route->methods;
        if (!x->route)
            x->route = route;
        if (!(route->methods & x->method))
            continue;
        x->route = route;
        x->tail = tail;
        return 0;
    }
    return *ret_allow ? 405 : 404;
}
