#include "config/collections.h"

#include <errno.h>

#include "base/printable.h"
#include "config/value.h"

#define BLANKS   " \t\r\n,"
#define ACCEPTED "accepted: name=folder or name=folder@/url, separated by blanks or commas"

static int refuse(const char *name, const char *why, struct error *e)
{
    char shown[80];
    return error_set(e, -EINVAL, "has a collection \"%s\" %s; " ACCEPTED, printable(shown, sizeof shown, name), why);
}

bool collections_is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= CONFIG_COLLECTION_NAME_MAX && !name[len];
}

/* Only spellings are compared: whether two names lead to one folder can change while we run. */
static bool same_folder(const char *a, const char *b)
{
    while (a[0] == '.' && a[1] == '/')
        a += 2;
    while (b[0] == '.' && b[1] == '/')
        b += 2;
    return strcmp(a, b) == 0;
}

static int check_unique(const struct collections *c, const struct config_collection *added, struct error *e)
{
    for (size_t i = 0; i < c->len; i++) {
        const struct config_collection *other = &c->items[i];
        if (strcmp(added->name, other->name) == 0)
            return refuse(added->name, i ? "twice" : "which PERDURA_MEDIA_ROOT sets already", e);
        if (same_folder(added->root, other->root))
            return refuse(added->name, "with another one's folder", e);
        if (added->url && other->url && strcmp(added->url, other->url) == 0)
            return refuse(added->name, "with another one's URL", e);
    }
    return 0;
}

static bool is_beneath(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Where the API answers. */
static bool is_taken(const char *url)
{
    static const char *const taken[] = {
        "/image-cache", "/api/images",  "/health",      "/ready",      "/metrics",     "/admin", "/proxy-image",
        "/pet",         "/upload-temp", "/sync-status", "/force-sync", "/cache-stats", "/chats",
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (is_beneath(url, taken[i]) || is_beneath(taken[i], url))
            return true;
    return false;
}

static void release_item(struct config_collection *item)
{
    free(item->name);
    free(item->root);
    free(item->url);
}

/* The text in the one form value.h gives it, without trailing slashes. */
static int normalise(enum value_kind kind, const char *text, char **ret)
{
    struct value v;
    int r = value_parse(&(struct value_type){.kind = kind, .unit = "", .words = ""}, text, &v, NULL);
    if (r == 0)
        *ret = v.text;
    return r;
}

int collections_add(struct collections *c, const char *name, const char *root, const char *url, struct error *e)
{
    if (!collections_is_name(name))
        return refuse(name, "whose name is not 1 to 64 of a-z 0-9 _ -", e);

    struct config_collection item = {.name = strdup(name)};
    int r = item.name ? normalise(VALUE_PATH, root, &item.root) : -ENOMEM;
    if (r == -EINVAL)
        r = refuse(name, "without a usable folder", e);
    if (r == 0 && url) {
        r = normalise(VALUE_URL_PATH, url, &item.url);
        if (r == -EINVAL)
            r = refuse(name, "whose URL is not a path such as /avatars", e);
        else if (r == 0 && is_taken(item.url))
            r = refuse(name, "at a URL where the API answers", e);
    }
    if (r == 0)
        r = check_unique(c, &item, e);
    if (r == 0) {
        struct config_collection *items = reallocarray(c->items, c->len + 1, sizeof *items);
        if (items) {
            c->items = items;
            items[c->len++] = item;
            return 0;
        }
        r = -ENOMEM;
    }
    release_item(&item);
    if (r == -ENOMEM)
        error_set(e, r, "is too much for the memory left");
    return r;
}

/* Adds "name=folder@/url", which it cuts into its parts. */
static int add_entry(struct collections *c, char *entry, struct error *e)
{
    char *root = strchr(entry, '=');
    if (!root)
        return refuse(entry, "without =folder", e);
    *root++ = '\0';

    char *url = NULL;
    for (char *at = root; (at = strstr(at, "@/")); at++)
        url = at;
    if (url)
        *url++ = '\0';
    return collections_add(c, entry, root, url, e);
}

int collections_parse(struct collections *c, const char *list, struct error *e)
{
    int r = 0;
    while (r == 0 && *(list += strspn(list, BLANKS))) {
        size_t len = strcspn(list, BLANKS);
        char *entry = strndup(list, len);
        r = entry ? add_entry(c, entry, e) : error_set(e, -ENOMEM, "is too much for the memory left");
        free(entry);
        list += len;
    }
    return r;
}

void collections_release(struct collections *c)
{
    for (size_t i = 0; i < c->len; i++)
        release_item(&c->items[i]);
    free(c->items);
    *c = (struct collections){0};
}
