/* What this instance has committed itself, for 30 s: when that is heard of as a change, it is no news, until somebody
 * else's change of the image is. */
#ifndef STORE_OWN_WRITES_H
#define STORE_OWN_WRITES_H

#include "image/image.h"

struct own_writes;

enum own_write { OWN_WRITE_NONE, OWN_WRITE, OWN_WRITE_OF_FILE /* the file's content was committed */ };

struct own_writes *own_writes_new(void);    /* NULL when out of memory */
void own_writes_free(struct own_writes *o); /* NULL is allowed */

void own_writes_add(struct own_writes *o, const struct image_meta *row, enum own_write kind);
enum own_write own_writes_find(struct own_writes *o, const struct image_meta *row);
void own_writes_drop(struct own_writes *o, const struct image_key *key);

/* Whether the row is all that was committed here, its entity too: then nothing that is remembered is older. */
int own_writes_has_row(struct own_writes *o, const struct image_meta *row);

#endif
