/* Walks a collection's folder and reports, for each file, what the store knows of it. Rows are looked up many at a
 * time, so memory is bounded whatever the size of the tree. */
#ifndef WATCH_FOLDER_DIFF_H
#define WATCH_FOLDER_DIFF_H

#include <stdatomic.h>

#include "fs/walk.h"
#include "image/image.h"
#include "store/store.h"

/* `row` is what is stored under the entry's path, NULL when nothing is; it and the entry are valid during the call. A
 * non-zero return ends the walk. */
typedef int folder_diff_fn(void *arg, const struct walk_entry *entry, const struct image_meta *row);

struct folder_diff_options {
    struct store *store;
    const char *collection;
    const atomic_int *stopped; /* ends the walk with -ECANCELED; NULL: nothing does */
    int patience_ms;           /* how long a database that was lost meanwhile is waited for */
    int lock_ms;               /* how long a locked table is waited for; 0: as long as for any answer */
};

/* 0, what fn returned, -ENOENT when the folder is missing, or a failure of the database. */
int folder_diff(const struct folder_diff_options *options, folder_diff_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

#endif
