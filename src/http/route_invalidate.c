/* Forgetting what is remembered of images. */
#include <stdio.h>
#include <string.h>

#include "fs/safepath.h"
#include "http/arguments.h"
#include "http/routes.h"
#include "http/server.h"
#include "store/store.h"

/* Takes the names that caches use: by entity, of any variant where none is given. */
static int forget_entity(struct store *store, const json_t *arguments)
{
    char pattern[1024];
    const char *object_id = http_argument_text(arguments, "object_id");
    const char *variant = http_argument_text(arguments, "variant");
    (void)snprintf(pattern, sizeof pattern, "image:%s:%s:%s", http_argument_text(arguments, "content_type"),
                   object_id ? object_id : "*", variant ? variant : "*");
    return store_forget_matching(store, pattern);
}

static int forget_path(struct http_exchange *x, const char *collection, const char *path)
{
    struct store *store = x->service->store;
    struct error why;
    const struct config_collection *known = config_collection(store_config(store), collection ? collection : "media");
    if (!known)
        http_answer_problem(x, 400, "there is no collection \"%.64s\" here; see PERDURA_COLLECTIONS", collection);
    else if (safepath_check(path, strlen(path), &why) < 0)
        http_answer_problem(x, 400, "the path %s", why.text);
    else
        return store_forget(store, &(struct image_key){known->name, path});
    return -1;
}

void route_invalidate(struct http_exchange *x)
{
    static const struct http_argument known[] = {
        {"path", HTTP_ARGUMENT_TEXT},
        {"collection", HTTP_ARGUMENT_TEXT},
        {"pattern", HTTP_ARGUMENT_TEXT},
        {"content_type", HTTP_ARGUMENT_TEXT},
        {"object_id", HTTP_ARGUMENT_TEXT},
        {"variant", HTTP_ARGUMENT_TEXT},
        {NULL, 0},
    };
    struct store *store = x->service->store;
    json_t *arguments = http_arguments(x, known);
    if (!arguments)
        return;
    const char *path = http_argument_text(arguments, "path"), *pattern = http_argument_text(arguments, "pattern");
    const char *collection = http_argument_text(arguments, "collection");
    int entity = json_object_get(arguments, "content_type") != NULL, n = -1;
    if ((path != NULL) + (pattern != NULL) + entity != 1)
        http_answer_problem(x, 400, "name what is to be forgotten: one of \"path\", \"pattern\" and \"content_type\"");
    else if (path)
        n = forget_path(x, collection, path);
    else
        n = pattern ? store_forget_matching(store, pattern) : forget_entity(store, arguments);
    if (n >= 0)
        http_answer_json(x, 200, json_pack("{s:i}", "invalidated", n));
    json_decref(arguments);
}
