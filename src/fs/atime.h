/* Whether access times (st_atime) tell that a file was read. They do not where a filesystem is mounted with noatime or
 * read-only. Linux mounts with relatime unless it is told otherwise: an access is noted when the last noted one is a
 * day old, or not later than the last change of the file. */
#ifndef FS_ATIME_H
#define FS_ATIME_H

#include <stddef.h>

#include "fs/staging.h"

/* Reads a file of its own in the staging folder, and looks for mounts with noatime beneath `root`, the path of the
 * folder. 0; -ENOTSUP, with a text that says why they tell nothing; or another -errno, and it is not known. */
int atime_check(struct staging *s, const char *root, struct error *e) __attribute__((warn_unused_result));

/* For tests: `mounts` has the form of /proc/self/mountinfo. Writes the mount with noatime that is `root` or lies
 * beneath it, and returns 1; else 0. */
int atime_mount(const char *mounts, const char *root, char *ret, size_t size);

#endif
