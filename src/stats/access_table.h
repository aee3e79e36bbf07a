/* Which images were asked for, when last and how often, until that is written: a table of bounded size, by key.
 *
 * Each image is due when it is noted first, and after that once in ACCESS_PERIOD_MS, with all that was counted
 * meanwhile. An image that nobody asked for since its last write is forgotten by and by. Threads that note seldom wait
 * for each other: the table is split in parts with a lock each.
 *
 * Any thread may note. One thread takes, gives back and sweeps:
 *
 *     [ take -> written, or give_back ]... -> sweep */
#ifndef STATS_ACCESS_TABLE_H
#define STATS_ACCESS_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

#define ACCESS_PERIOD_MS INT64_C(3600000)

struct access_table;
struct access_entry;

/* Makes a table for about `images` images, of which it takes a multiple of ACCESS_PARTS. -ENOMEM. */
#define ACCESS_PARTS 16
int access_table_new(struct access_table **ret, size_t images) __attribute__((warn_unused_result));
void access_table_free(struct access_table *t); /* NULL is allowed */

/* Counts one request for the image at this moment (microseconds since 1970). 0 when there was no room for it, or when
 * the key is longer than any that is stored. */
int access_table_note(struct access_table *t, const struct image_key *key, int64_t now_us);

struct access_row {
    struct access_entry *entry; /* the table's, as are the key's strings: until the next sweep */
    struct image_key key;
    int64_t accessed_us; /* the last one */
    int64_t requests;    /* since the last write */
};

enum access_take { ACCESS_TAKE_DUE, ACCESS_TAKE_ALL };

/* Takes up to `max` images to be written now (clock_monotonic_ms), looking on from *pos, which is 0 at first. Returns
 * how many; less than `max`: no more are left. Notes that come meanwhile are counted anew. */
size_t access_table_take(struct access_table *t, enum access_take how, int64_t now_ms, size_t *pos,
                         struct access_row *rows, size_t max);

/* Gives back what could not be written: it is due again at once. There is always room for it. */
void access_table_give_back(struct access_table *t, const struct access_row *rows, size_t count);

/* Forgets images without notes: those that would be due by now, and where a part is nearly full, all. */
void access_table_sweep(struct access_table *t, int64_t now_ms);

#endif
