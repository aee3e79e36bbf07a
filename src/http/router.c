#include "http/router.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/listvalue.h"

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

static int matches_collection(const struct config *config, struct http_transaction *x, const char **ret_tail)
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

int http_router_find(struct http_transaction *x, const struct http_route *routes, const struct config *config,
                     unsigned *ret_allow)
{
    const char *path = without_prefix(config, x->raw_path);
    const char *tail;
    *ret_allow = 0;
    for (const struct http_route *route = routes; route->handler; route++) {
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
