/* Images by entity: /api/images/{content_type}/{object_id}/{variant}. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/image_answer.h"
#include "api/image_store.h"
#include "api/routes.h"
#include "base/utf8.h"
#include "codec/sniff.h"
#include "codec/url.h"
#include "config/config.h"
#include "http/body.h"
#include "stats/access.h"
#include "store/store.h"

struct entity_request {
    const char *content_type;
    char text[3][256]; /* content type as it was sent, object, variant */
};

static const char *singular(const char *content_type)
{
    static const char *const names[][2] = {{"artists", "artist"}, {"albums", "album"}, {"users", "user"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(content_type, names[i][0]) == 0)
            return names[i][1];
    return content_type;
}

static int take_entity(struct http_transaction *x, struct entity_request *ret)
{
    const char *at = x->tail;
    struct error why;
    for (int i = 0; i < 3; i++) {
        size_t n = strcspn(at, "/"), len;
        if (n >= sizeof ret->text[i] || url_decode_path(ret->text[i], &len, at, n, &why) < 0 || !len ||
            !utf8_valid(ret->text[i], len)) {
            http_answer_problem(x, 400, "the entity's names are too long or malformed");
            return -EINVAL;
        }
        at += n + (at[n] == '/');
    }
    ret->content_type = singular(ret->text[0]);
    return 0;
}

/* The request goes on as one for this image. The name is the exchange's own from here on. */
static int name_image(struct http_transaction *x, const struct image_key *key)
{
    const struct config_collection *collection = config_collection(store_config(x->service->store), key->collection);
    if (!collection) {
        http_answer_problem(x, 404,
                            "the image is in the collection \"%s\", which PERDURA_COLLECTIONS does not name here",
                            key->collection);
        return -ENOENT;
    }
    x->path = strdup(key->path);
    if (!x->path) {
        http_answer_problem(x, 500, "out of memory");
        return -ENOMEM;
    }
    x->key = (struct image_key){collection->name, x->path};
    access_request(x->service->access, collection->name);
    return 0;
}

static void look_up(struct http_transaction *x)
{
    const struct entity_request *entity = x->state;
    char name[IMAGE_NAME_SIZE];
    struct image_key key;
    struct error why;
    if (store_entity_key(x->service->store, entity->content_type, entity->text[1], entity->text[2], name, &key, &why) <
        0)
        http_answer_error(x, "the image", &why);
    else if (name_image(x, &key) == 0 && image_answer_hot(x) < 0)
        x->next = image_fetch;
}

void route_entity_get(struct http_transaction *x)
{
    struct entity_request *entity = x->state = calloc(1, sizeof *entity);
    char name[IMAGE_NAME_SIZE];
    struct image_key key;
    if (!entity)
        http_answer_problem(x, 500, "out of memory");
    else if (take_entity(x, entity) < 0)
        return;
    else if (store_entity_hot(x->service->store, entity->content_type, entity->text[1], entity->text[2], name, &key) <
             0)
        http_wait(x, look_up);
    else if (name_image(x, &key) == 0 && image_answer_hot(x) < 0) {
        http_later(x);
        image_fetch(x);
    }
}

void route_entity_put(struct http_transaction *x)
{
    struct entity_request entity = {0};
    if (take_entity(x, &entity) < 0)
        return;
    char room[4096];
    size_t n;
    const void *head = http_body_head(x, room, sizeof room, &n);
    struct sniff seen = sniff(head, n);
    if (seen.kind == SNIFF_NONE) {
        http_answer_problem(x, 400, "the body is no image");
        return;
    }
    if (asprintf(&x->path, "%s/%s/%s.%s", entity.content_type, entity.text[1], entity.text[2],
                 sniff_extension(seen.kind)) < 0) {
        x->path = NULL;
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    struct image_meta meta = {.key = {"media", x->path},
                              .content_type = entity.content_type,
                              .object_id = entity.text[1],
                              .variant = entity.text[2]};
    image_store_put(x, &meta);
}
