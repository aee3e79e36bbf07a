/* Files on disk that hold an old revision, because their images were changed elsewhere: until each is replaced or
 * removed, reading it answers -ENOENT, so that the tier below is asked. A mark is of one file (device, inode, size and
 * time), not of a name: what the app writes there is served at once.
 *
 *     mark -> [ take -> settle ]... until it is settled for good, or cleared
 *
 * At most TIER_DISK_STALE_MAX are marked. All calls lock. */
#ifndef TIER_TIER_DISK_STALE_H
#define TIER_TIER_DISK_STALE_H

#include <stdint.h>
#include <sys/stat.h>

#include "image/image.h"

struct tier_disk;
struct tier_disk_stale;

#define TIER_DISK_STALE_MAX 65536

struct tier_disk_stale *tier_disk_stale_new(void); /* NULL when out of memory */
void tier_disk_stale_free(struct tier_disk_stale *t);
struct tier_disk_stale *tier_disk_stale(struct tier_disk *disk);

enum tier_disk_remedy { TIER_DISK_REPLACE, TIER_DISK_REMOVE };

/* -ENOSPC: too many are; -ENOMEM. */
int tier_disk_stale_mark(struct tier_disk_stale *t, const struct image_key *key, const struct stat *file,
                         enum tier_disk_remedy remedy) __attribute__((warn_unused_result));

/* The image's file is not old any more. */
void tier_disk_stale_clear(struct tier_disk_stale *t, const struct image_key *key);

int tier_disk_stale_is(struct tier_disk_stale *t, const struct image_key *key, const struct stat *file);
int tier_disk_stale_count(struct tier_disk_stale *t);

/* One that was taken; whoever took it settles it. The key is valid until then. */
struct tier_disk_stale_file {
    struct image_key key;
    enum tier_disk_remedy remedy;
    struct stat seen; /* device, inode, size and time of modification */
    uint64_t number;  /* of the mark */
    void *mark;
};

/* Up to `max` of those that are due, the oldest first. */
int tier_disk_stale_take(struct tier_disk_stale *t, struct tier_disk_stale_file *files, int max);

/* again_ms 0: it is dealt with, unless it was marked anew meanwhile; else to be taken again after so long. */
void tier_disk_stale_settle(struct tier_disk_stale *t, const struct tier_disk_stale_file *file, int again_ms);

#endif
