/* The list of PERDURA_ORIGINS: where collections come from that have no folder of their own.
 *
 *     mascotas=s3://petmatch-mascotas servicios=s3://bucket/a/prefix legacy=https://res.cloudinary.com/x/
 */
#ifndef CONFIG_ORIGINS_H
#define CONFIG_ORIGINS_H

#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

struct origins {
    struct image_origin *items;
    size_t len;
};

/* Appends those of the list, whose elements are separated by blanks or commas. -EINVAL, and a phrase such as "has an
 * origin ...", when a name is wrong, named twice or that of a collection in `c` that has a folder, or when its place is
 * neither a bucket nor a URL without user, query and fragment; -ENOMEM. On failure some may have been added. */
int origins_parse(struct origins *o, const char *list, const struct config *c, struct error *e)
    __attribute__((warn_unused_result));

void origins_release(struct origins *o);

#endif
