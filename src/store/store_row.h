/* One image by its row, in the trash or not: its bytes, where copies of it are, and its end. */
#ifndef STORE_STORE_ROW_H
#define STORE_STORE_ROW_H

#include "store/store.h"

/* Reads an image from the durable tier, past all caches, and fills none: its bytes, compared with their sha256, or, of
 * one in object storage, an open file. -ENOENT: there is no row of that id (any more); else as store_read. */
int store_row_read(struct store *store, int64_t id, struct image **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Those of up to STORE_ROWS_MAX ids that there are, in their order. */
#define STORE_ROWS_MAX 1000
int store_rows(struct store *store, const int64_t *ids, int count, struct store_page **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Reads row `row` of a result: all that sql/image_info.sql selects. Strings are borrowed from the result. */
struct db_result;
#define STORE_ROW_COLUMNS 19
void store_row_meta(const struct db_result *rows, int row, struct image_meta *ret);

struct store_places {
    int memory;
    enum store_place_file {
        STORE_FILE_UNKNOWN, /* its collection has no folder here, or that can't be read */
        STORE_FILE_CURRENT,
        STORE_FILE_MISSING,
        STORE_FILE_CHANGED
    } disk;
    int redis; /* -1: there is none, or it does not answer */
};

/* Where a copy of the row's content is on this instance, and in Redis, which is asked. */
void store_row_places(struct store *store, const struct image_meta *row, struct store_places *ret);

/* Which of these images somebody has deleted (cleanup is nobody). Returns how many, their ids in `ret`, which has room
 * for all. */
int store_deleted(struct store *store, const int64_t *ids, int count, int64_t *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Deletes for good those of up to STORE_ROWS_MAX images that are in the trash. *ret is how many were. */
int store_purge(struct store *store, const int64_t *ids, int count, int *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
