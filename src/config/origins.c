#include "config/origins.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/printable.h"
#include "config/collections.h"
#include "config/listvalue.h"
#include "config/value.h"

#define ACCEPTED                                                                                                       \
    "accepted: name=s3://bucket, name=s3://bucket/prefix or name=https://host/path/, separated by blanks or commas"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html: 3 to 63, of small letters. Older
 * buckets, and other stores, have more. */
#define BUCKET_MIN 3
#define BUCKET_MAX 255

static int refuse(const char *name, const char *why, struct error *e)
{
    char shown[80];
    return error_set(e, -EINVAL, "has an origin \"%s\" %s; " ACCEPTED, printable(shown, sizeof shown, name), why);
}

/* What has the given length, as a string of its own in *ret. */
static int take(const char *text, size_t n, char **ret)
{
    *ret = strndup(text, n);
    return *ret ? 0 : -ENOMEM;
}

static bool is_bucket(const char *text, size_t n)
{
    return n >= BUCKET_MIN && n <= BUCKET_MAX && isalnum((unsigned char)*text) && strspn(text, LETTERS ".-_") >= n &&
           !memmem(text, n, "..", 2);
}

/* "bucket" or "bucket/prefix". */
static int parse_bucket(struct image_origin *o, const char *text, struct error *e)
{
    size_t n = strcspn(text, "/");
    const char *prefix = text + n;
    size_t len = strlen(prefix);
    if (!is_bucket(text, n))
        return refuse(o->collection, "whose bucket is not 3 to 255 letters, digits, '.', '-' or '_'", e);
    while (len && prefix[len - 1] == '/')
        len--;
    if (len && !value_url_path(prefix, len))
        return refuse(o->collection, "whose prefix is no path such as a/b", e);

    o->kind = IMAGE_ORIGIN_S3;
    int r = take(text, n, &o->bucket);
    if (r == 0 && asprintf(&o->prefix, "%.*s%s", len ? (int)len - 1 : 0, len ? prefix + 1 : "", len ? "/" : "") < 0) {
        o->prefix = NULL;
        r = -ENOMEM;
    }
    return r;
}

/* "host", "host:port", "[address]:port" (RFC 3986 section 3.2). */
static bool is_host(const char *text, size_t n)
{
    const char *end = text + n;
    const char *name_end = *text == '[' ? memchr(text, ']', n) : text + strspn(text, LETTERS ".-");
    if (!name_end)
        return false;
    if (*text == '[') {
        if (name_end < text + 3 || (size_t)(name_end - text - 1) != strspn(text + 1, "0123456789abcdefABCDEF:."))
            return false;
        name_end++;
    }
    if (name_end == text || name_end > end)
        return false;
    if (name_end == end)
        return true;
    size_t digits = strspn(name_end + 1, "0123456789");
    if (*name_end != ':' || !digits || digits > 5 || name_end + 1 + digits != end)
        return false;
    long port = strtol(name_end + 1, NULL, 10);
    return port >= 1 && port <= 65535;
}

/* What stands behind the scheme, which has `n` bytes. */
static int parse_web(struct image_origin *o, const char *text, size_t n, struct error *e)
{
    const char *host = text + n;
    size_t host_len = strcspn(host, "/?#");
    const char *path = host + host_len;
    size_t path_len = strlen(path);
    if (memchr(host, '@', host_len))
        return refuse(o->collection, "with a user in its URL, which would be shown in logs", e);
    if (!is_host(host, host_len))
        return refuse(o->collection, "whose URL has no host", e);
    while (path_len && path[path_len - 1] == '/')
        path_len--;
    if (path_len && !value_url_path(path, path_len))
        return refuse(o->collection, "whose URL is more than a host and a path", e);

    o->kind = IMAGE_ORIGIN_WEB;
    if (asprintf(&o->url, "%.*s/", (int)(n + host_len + path_len), text) < 0) {
        o->url = NULL;
        return -ENOMEM;
    }
    for (size_t i = 0; i < n + host_len; i++)
        o->url[i] = (char)tolower((unsigned char)o->url[i]);
    return 0;
}

static int parse_place(struct image_origin *o, const char *text, struct error *e)
{
    static const char *const web[] = {"https://", "http://"};
    if (strncasecmp(text, "s3://", 5) == 0)
        return parse_bucket(o, text + 5, e);
    for (size_t i = 0; i < sizeof web / sizeof *web; i++)
        if (strncasecmp(text, web[i], strlen(web[i])) == 0)
            return parse_web(o, text, strlen(web[i]), e);
    return refuse(o->collection, "that begins neither with s3:// nor with https://", e);
}

static int check_name(const struct origins *list, const char *name, const struct config *c, struct error *e)
{
    if (!collections_is_name(name))
        return refuse(name, "whose name is not 1 to 64 of a-z 0-9 _ -", e);
    if (config_collection(c, name))
        return refuse(name, "which is a collection with a folder", e);
    for (size_t i = 0; i < list->len; i++)
        if (strcmp(list->items[i].collection, name) == 0)
            return refuse(name, "twice", e);
    return 0;
}

static void release_item(struct image_origin *o)
{
    free(o->collection);
    free(o->bucket);
    free(o->prefix);
    free(o->url);
}

static int append(struct origins *list, const struct image_origin *o)
{
    struct image_origin *items = reallocarray(list->items, list->len + 1, sizeof *items);
    if (!items)
        return -ENOMEM;
    list->items = items;
    items[list->len++] = *o;
    return 0;
}

/* Adds "name=place", which it cuts into its parts. */
static int add_entry(struct origins *list, char *entry, const struct config *c, struct error *e)
{
    struct image_origin o = {0};
    char *place = strchr(entry, '=');
    if (!place)
        return refuse(entry, "without =s3://bucket", e);
    *place++ = '\0';

    int r = check_name(list, entry, c, e);
    if (r == 0)
        r = take(entry, strlen(entry), &o.collection);
    if (r == 0)
        r = parse_place(&o, place, e);
    if (r == 0 && (r = append(list, &o)) == 0)
        return 0;
    release_item(&o);
    return r;
}

int origins_parse(struct origins *o, const char *list, const struct config *c, struct error *e)
{
    const char *item;
    size_t n;
    int r = 0;
    while (r == 0 && (item = listvalue_next(&list, &n))) {
        char *entry = strndup(item, n);
        r = entry ? add_entry(o, entry, c, e) : -ENOMEM;
        free(entry);
    }
    return r == -ENOMEM ? error_set(e, r, "is too much for the memory left") : r;
}

void origins_release(struct origins *o)
{
    for (size_t i = 0; i < o->len; i++)
        release_item(&o->items[i]);
    free(o->items);
    *o = (struct origins){0};
}
