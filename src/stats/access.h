/* When and how often images are asked for, written to the database in batches: `last_accessed` and `access_count` of
 * the images, and requests by hour and collection (access_hour).
 *
 * A request notes, and a thread writes: an image within ACCESS_TICK_MS of its first note, and after that once an hour
 * (access_table.h), so that an image that is asked for all the time costs a row version an hour and not one a request.
 * So its last_accessed may be an hour late; at the stop all is written. While the database is away, notes are kept as
 * far as the table goes. What finds no place, and what the database refuses, is counted (METRIC_access_dropped). A
 * batch whose connection was lost before the answer is written again and may then count twice: access_count is a
 * measure of use, not a ledger. */
#ifndef STATS_ACCESS_H
#define STATS_ACCESS_H

#include <stdint.h>

#include "base/error.h"
#include "store/store.h"

struct access;

#define ACCESS_TICK_MS    30000
#define ACCESS_IMAGES_MAX 32768 /* 5 MiB with usual paths, 70 MiB with the longest; taken as they are used */

/* Starts the thread. The store is borrowed. -ENOMEM, -EAGAIN (no more threads). */
int access_start(struct access **ret, struct store *store) __attribute__((warn_unused_result));

/* One image was asked for and answered. Cheap, from any thread: a lock that is seldom contended, nothing else. The key
 * is copied. Like the next, does nothing when `a` is NULL. */
void access_note(struct access *a, const struct image_key *key);

/* One request for the collection of that name, whatever came of it. Likewise cheap. */
void access_request(struct access *a, const char *collection);

/* Writes all that was noted, until deadline_ms (clock_monotonic_ms), ends the thread and frees. The code and *e (NULL
 * is allowed) tell why notes were lost. -EBUSY: the thread is still held by a database that does not answer; then
 * nothing is freed, the store must stay open, and this may be called again. Nobody may note any more. NULL is allowed.
 */
int access_stop(struct access *a, int64_t deadline_ms, struct error *e) __attribute__((warn_unused_result));

#endif
