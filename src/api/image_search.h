/* What an image has to be like to be among those that are listed, or that a job is about: as the query of a URL, or as
 * a JSON object with the same names. */
#ifndef API_IMAGE_SEARCH_H
#define API_IMAGE_SEARCH_H

#include <jansson.h>

#include "codec/url.h"
#include "store/store_search.h"

/* Reads a filter out of a query, other names of which are left alone. Its texts are the query's. -EINVAL, and a
 * sentence that names the argument. */
int image_search_query(const struct url_query *query, struct store_filter *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Likewise out of an object, in which sizes may be numbers. An unknown name is refused. */
int image_search_json(const json_t *object, struct store_filter *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
