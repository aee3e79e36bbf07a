/* Reads many images by id over one connection, without waiting for one answer before the next question. */
#ifndef STORE_READ_MANY_H
#define STORE_READ_MANY_H

#include "store/store.h"

#define READ_MANY_AHEAD  2
#define READ_MANY_IMAGES 64        /* of one request */
#define READ_MANY_BYTES  (2 << 20) /* likewise, of image bytes; a larger image is a request of its own */

struct read_many;

/* Lost connections are mended for up to patience_ms. */
int read_many_open(struct store *store, int patience_ms, struct read_many **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Asks for up to READ_MANY_IMAGES rows. At most READ_MANY_AHEAD requests may wait to be received. */
int read_many_ask(struct read_many *r, const int64_t *ids, int count, struct error *e)
    __attribute__((warn_unused_result));

/* Takes the rows of the oldest request, in any order; rows deleted meanwhile are not among them. Each is reported once:
 * the image, whose bytes were compared with their sha256, or NULL and why: -EBADMSG (damaged), -ENOMEM. meta has what
 * every query for images begins with: id, key, type, url, size, sha256, mtime. Both are borrowed. An image whose bytes
 * are in object storage is a linked one (image.h). */
typedef void read_many_fn(void *arg, const struct image_meta *meta, struct image *image, const struct error *why);

int read_many_receive(struct read_many *r, read_many_fn *got, void *arg, struct error *e)
    __attribute__((warn_unused_result));

void read_many_close(struct read_many *r); /* NULL is allowed */

#endif
