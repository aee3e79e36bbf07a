/* Files on disk that hold an old revision, because their images were changed elsewhere: until each is replaced or
 * removed, reading it answers -ENOENT, so that the tier below is asked. A mark is of one file (device, inode, size and
 * time), not of a name: what the app writes there is served at once.
 *
 *     mark -> [ take -> settle ]... until it is settled for good, or cleared
 *
 * At most STALE_FILES_MAX are marked. All calls lock. */
#ifndef IMAGE_STALE_FILES_H
#define IMAGE_STALE_FILES_H

#include <stdint.h>
#include <sys/stat.h>

#include "image/image.h"

struct stale_files;

#define STALE_FILES_MAX 65536

struct stale_files *stale_files_new(void); /* NULL when out of memory */
void stale_files_free(struct stale_files *t);

enum stale_remedy { STALE_REPLACE, STALE_REMOVE };

/* -ENOSPC: too many are; -ENOMEM. */
int stale_files_mark(struct stale_files *t, const struct image_key *key, const struct stat *file,
                     enum stale_remedy remedy) __attribute__((warn_unused_result));

/* The image's file is not old any more. */
void stale_files_clear(struct stale_files *t, const struct image_key *key);

int stale_files_is(struct stale_files *t, const struct image_key *key, const struct stat *file);
int stale_files_count(struct stale_files *t);

/* One that was taken; whoever took it settles it. The key is valid until then. */
struct stale_file {
    struct image_key key;
    enum stale_remedy remedy;
    struct stat seen; /* device, inode, size and time of modification */
    uint64_t number;  /* of the mark */
    void *mark;
};

/* Up to `max` of those that are due, the oldest first. */
int stale_files_take(struct stale_files *t, struct stale_file *files, int max);

/* again_ms 0: it is dealt with, unless it was marked anew meanwhile; else to be taken again after so long. */
void stale_files_settle(struct stale_files *t, const struct stale_file *file, int again_ms);

#endif
