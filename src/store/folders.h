/* The collections' folders, for callers that read and write files of their own accord: the watcher, jobs, the feed. */
#ifndef STORE_FOLDERS_H
#define STORE_FOLDERS_H

#include "fs/atomicfile.h"
#include "store/store.h"

enum store_folder {
    STORE_FOLDER_EXISTING, /* a missing folder is -ENOENT */
    STORE_FOLDER_MAKE      /* a missing folder is made */
};

/* The descriptor of a collection's folder, borrowed. -ENOENT with a text for a collection without a folder here. */
int store_folder(struct store *store, const char *collection, enum store_folder how, int *ret_fd, struct error *e)
    __attribute__((warn_unused_result));

/* 0 when the collection's folder, if it was opened, still has its name; -ESTALE when it was moved, removed or replaced
 * since: what was written to it is not where it is looked for. */
int store_folder_in_place(struct store *store, const char *collection, struct error *e)
    __attribute__((warn_unused_result));

/* For the watcher, which stays while folders come and go: 0 when the folder is the one that is open (it is opened if
 * need be), 1 when another one has its name now, which is open from here on under the same descriptor. -ENOENT when
 * there is none, or another -errno: what was open stays open. */
int store_folder_reopen(struct store *store, const char *collection, struct error *e)
    __attribute__((warn_unused_result));

/* The staging folder of a collection, borrowed. */
int store_staging(struct store *store, const char *collection, struct staging **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Makes all that was put into the folders so far durable, names included. */
void store_folders_sync(struct store *store);

/* The files here that hold an old content (image/stale_files.h). */
struct stale_files;
struct stale_files *store_stale_files(struct store *store);

#endif
