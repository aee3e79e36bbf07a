/* The body of a request on its way in: in memory, and from a certain size on, or where memory is short, in a file
 * without a name. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/transaction.h"

/* Before the first piece. Up to `room` bytes are kept in memory. */
void http_body_begin(struct http_transaction *x, int64_t room);

/* Adds a piece to x->body, or to x->body_fd. -ENOMEM, -ENOSPC or another -errno, with a text that follows "the body".
 */
int http_body_add(struct http_transaction *x, const char *piece, size_t n, struct error *e)
    __attribute__((warn_unused_result));

/* What came so far goes to the file, and whatever comes after it. */
int http_body_spool(struct http_transaction *x, struct error *e) __attribute__((warn_unused_result));

/* Whether it is too large for the database. Else it is in a file only because memory was short. */
int http_body_is_large(const struct http_transaction *x);

/* A body in the file is read back into memory. -EIO, -ENOMEM. */
int http_body_load(struct http_transaction *x, struct error *e) __attribute__((warn_unused_result));

/* Whether it has a Content-Encoding: "identity" is none. */
int http_body_is_coded(const struct http_transaction *x);

void http_body_release(struct http_transaction *x);

/* The first bytes, for a look at what it is; *ret_n is how many. */
const void *http_body_head(const struct http_transaction *x, char *room, size_t size, size_t *ret_n);

#endif
