/* The list of collections: `media`, and those of PERDURA_COLLECTIONS. */
#ifndef CONFIG_COLLECTIONS_H
#define CONFIG_COLLECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

struct collections {
    struct config_collection *items;
    size_t len;
};

/* Appends one collection, copying the texts (url may be NULL). -EINVAL when its name is wrong, or its name, folder or
 * URL is another one's already, and a phrase such as "has a collection ..."; -ENOMEM. */
int collections_add(struct collections *c, const char *name, const char *root, const char *url, struct error *e)
    __attribute__((warn_unused_result));

/* Appends those of a list `name=folder` or `name=folder@/url`, separated by blanks or commas (which a folder thus
 * cannot hold). Where a folder holds "@/", the last one counts. On failure some may have been added. */
int collections_parse(struct collections *c, const char *list, struct error *e) __attribute__((warn_unused_result));

/* Whether it can be a collection's name. */
bool collections_is_name(const char *name);

void collections_release(struct collections *c);

#endif
