/* An image as the API tells of it. */
#ifndef API_IMAGE_JSON_H
#define API_IMAGE_JSON_H

#include <jansson.h>

#include "image/image.h"

struct config;

/* What is known of it, and "url": where it is served, null where it is not. */
json_t *image_json(const struct config *config, const struct image_meta *meta);

#endif
