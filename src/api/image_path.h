/* The path of an image in a URL. */
#ifndef API_IMAGE_PATH_H
#define API_IMAGE_PATH_H

#include "http/transaction.h"

/* Decodes and checks `raw`, what stands behind a collection's URL, and makes it x->key.path. Not 0: it is answered. */
int http_image_path(struct http_transaction *x, const char *raw) __attribute__((warn_unused_result));

#endif
