/* Files that were just put on disk with what is stored: when the watcher hears of them, it is no news. Remembers the
 * last ones only; forgetting one costs a question to the database and nothing else. All calls lock. */
#ifndef JOB_EXPECTED_H
#define JOB_EXPECTED_H

#include <stdint.h>

#include "image/image.h"

struct expected;

struct expected *expected_new(size_t max); /* NULL when out of memory */
void expected_free(struct expected *x);    /* NULL is allowed */

void expected_add(struct expected *x, const struct image_key *key, int64_t size, int64_t mtime_ns);

/* 1 when a file of this size and time was expected under the key. */
int expected_is(struct expected *x, const struct image_key *key, int64_t size, int64_t mtime_ns);

#endif
