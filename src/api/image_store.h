/* Writing images for the routes: conditions, the store, the answer. */
#ifndef API_IMAGE_STORE_H
#define API_IMAGE_STORE_H

#include "http/transaction.h"

/* Stores x->body under meta's key and entity, and answers. */
void image_store_put(struct http_transaction *x, struct image_meta *meta);

/* Puts the image of x->key into the trash, and answers. */
void image_store_delete(struct http_transaction *x);

#endif
