/* A form with a photo in it (multipart/form-data), taken in as it comes: what is held of it is the photo alone, in
 * memory while it is small, else in a file without a name. Whatever is wrong is answered as soon as it shows. */
#ifndef HTTP_UPLOAD_FORM_H
#define HTTP_UPLOAD_FORM_H

#include "fs/spool.h"
#include "http/transaction.h"

#define UPLOAD_FORM_FIELD    "photo"
#define UPLOAD_FORM_MEMORY   (256 << 10) /* more of a photo goes to a file */
#define UPLOAD_FORM_OVERHEAD (256 << 10) /* of boundaries, heads and other fields */

/* The head is there: looks at the Content-Type and sets x->state. Answers when it is of no use. */
void upload_form_begin(struct http_transaction *x);

/* More of the body. */
void upload_form_take(struct http_transaction *x, const char *bytes, size_t n);

/* Bytes of memory, and of the file, that it takes now. */
int64_t upload_form_memory(const struct http_transaction *x);
int64_t upload_form_file(const struct http_transaction *x);

/* The body has ended: the photo, which stays the form's. NULL: it is answered. */
const struct spool *upload_form_photo(struct http_transaction *x);

/* Before the exchange is freed. */
void upload_form_release(struct http_transaction *x);

#endif
