/* An image as an answer to GET and HEAD: its headers, conditions (RFC 9110 section 13) and ranges (section 14). */
#ifndef API_IMAGE_ANSWER_H
#define API_IMAGE_ANSWER_H

#include "http/conditional.h"
#include "http/transaction.h"

/* Reads the image of x->key, answers with it and ends the exchange, which has left the server's thread (http_later). */
void image_fetch(struct http_transaction *x);

/* Likewise of a collection that has an origin. */
void image_fetch_proxied(struct http_transaction *x);

/* Answers with an image (takes the reference) that was read past all caches for somebody who may see what is not
 * served: no cache keeps it for others, and shown by itself it may do nothing. `save_as`: it is to be saved as a file
 * of that name; NULL: it is to be shown. */
void image_answer_private(struct http_transaction *x, struct image *image, const char *save_as);

/* Answers at once with the image of x->key if it is at hand. -ENOENT: it is not; fetch it. */
int image_answer_hot(struct http_transaction *x) __attribute__((warn_unused_result));

/* Holds a request to its conditions. 0: go on; else it is answered (412, 400), or is to be answered with a 304. */
int image_conditions(struct http_transaction *x, enum conditional_method method, const struct conditional_current *now);

#endif
