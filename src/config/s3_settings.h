/* Object storage: what its settings may look like, and which belong together. */
#ifndef CONFIG_S3_SETTINGS_H
#define CONFIG_S3_SETTINGS_H

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"
#include "config/sources.h"

/* "https://host" or "http://host:port": no user, no path, no query. */
bool s3_settings_is_endpoint(const char *text);

/* A bucket's name (Amazon S3 user guide, "General purpose bucket naming rules"), perhaps with "/prefix" behind it, of
 * unreserved characters (RFC 3986) and slashes, none of its parts empty, "." or "..". */
bool s3_settings_is_bucket(const char *text);

/* The name of the first setting that is missing for object storage to be asked; NULL: none is. */
const char *s3_settings_missing(const struct config *c);

/* -EINVAL when there is a bucket to be used and something is missing without which it cannot be. */
int s3_settings_check(const struct config *c, const struct sources *from, struct error *e)
    __attribute__((warn_unused_result));

#endif
