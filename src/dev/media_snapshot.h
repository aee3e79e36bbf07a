/* What a folder of images held at one moment, to compare it with what it holds later: by sha256, size and modification
 * time, without asking any part of Perdura that had a hand in bringing it back. */
#ifndef DEV_MEDIA_SNAPSHOT_H
#define DEV_MEDIA_SNAPSHOT_H

#include "base/error.h"

struct media_snapshot;

/* Reads every file beneath folder_fd. */
int media_snapshot_take(struct media_snapshot **ret, int folder_fd, struct error *e)
    __attribute__((warn_unused_result));
void media_snapshot_free(struct media_snapshot *s); /* NULL is allowed */

int media_snapshot_count(const struct media_snapshot *s);

/* Reads every file beneath folder_fd again. Sets how many of the snapshot's are there as they were; each one that
 * differs, and each that was not in the snapshot, is named on stderr and counted in *ret_different. */
int media_snapshot_compare(const struct media_snapshot *s, int folder_fd, int *ret_same, int *ret_different,
                           struct error *e) __attribute__((warn_unused_result));

#endif
