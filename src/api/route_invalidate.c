/* Forgetting what is remembered of images. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/arguments.h"
#include "api/routes.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "store/store.h"

void route_invalidate_named(struct http_transaction *x, const char *pattern)
{
    int n = store_forget_named(x->service->store, pattern);
    int r = store_invalidate(x->service->store, pattern, NULL);
    http_answer_json(x, 200, json_pack("{s:i, s:s}", "invalidated", n, "others", r == 0 ? "told" : "unreachable"));
}

/* By entity, of any variant where none is given. */
static void invalidate_entity(struct http_transaction *x, const json_t *arguments)
{
    char pattern[STORE_PATTERN_SIZE];
    if (store_pattern_of_entity(pattern, http_argument_text(arguments, "content_type"),
                                http_argument_text(arguments, "object_id"),
                                http_argument_text(arguments, "variant")) < 0)
        http_answer_problem(x, 400, "the entity's names are too long");
    else
        route_invalidate_named(x, pattern);
}

static void invalidate_path(struct http_transaction *x, const char *collection, const char *path)
{
    char pattern[STORE_PATTERN_SIZE];
    struct error why;
    const struct config *config = store_config(x->service->store);
    collection = collection ? collection : "media";
    if (!config_collection(config, collection) && !config_image_origin(config, collection)) {
        http_answer_problem(
            x, 400, "there is no collection \"%.64s\" here; see PERDURA_COLLECTIONS and PERDURA_ORIGINS", collection);
    } else if (safepath_check(path, strlen(path), &why) < 0) {
        http_answer_problem(x, 400, "the path %s", why.text);
    } else {
        store_pattern_of(pattern, &(struct image_key){collection, path});
        route_invalidate_named(x, pattern);
    }
}

void route_invalidate(struct http_transaction *x)
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
    json_t *arguments = http_arguments(x, known);
    if (!arguments)
        return;
    const char *path = http_argument_text(arguments, "path"), *pattern = http_argument_text(arguments, "pattern");
    int entity = json_object_get(arguments, "content_type") != NULL;
    if ((path != NULL) + (pattern != NULL) + entity != 1)
        http_answer_problem(x, 400, "name what is to be forgotten: one of \"path\", \"pattern\" and \"content_type\"");
    else if (pattern && (!*pattern || strlen(pattern) >= STORE_PATTERN_SIZE))
        http_answer_problem(x, 400, "the pattern has to have 1 to %d bytes", STORE_PATTERN_SIZE - 1);
    else if (path)
        invalidate_path(x, http_argument_text(arguments, "collection"), path);
    else if (pattern)
        route_invalidate_named(x, pattern);
    else
        invalidate_entity(x, arguments);
    json_decref(arguments);
}
