/* Writing images for the routes: conditions, the store, the answer. */
#ifndef HTTP_IMAGE_STORE_H
#define HTTP_IMAGE_STORE_H

#include "http/exchange.h"

/* Stores x->body under meta's key and entity, and answers. */
void image_store_put(struct http_exchange *x, struct image_meta *meta);

/* Puts the image of x->key into the trash, and answers. */
void image_store_delete(struct http_exchange *x);

#endif
