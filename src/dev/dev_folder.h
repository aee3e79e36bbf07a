/* The folder in which `perdura-dev` keeps everything, and which it removes: only ever one that it made itself.
 *
 *     <folder>/dev.lock    "perdura-dev <pid>", and a line for each folder that had to be made elsewhere
 *
 * The lock is a flock(2) on that file. Whatever works in the folder keeps the descriptor open (dev_folder_lock), so the
 * lock lasts as long as any of it lives, even when the one who took it was killed. */
#ifndef DEV_DEV_FOLDER_H
#define DEV_DEV_FOLDER_H

#include <limits.h>

#include "base/error.h"
#include "process/stop_signals.h"

struct dev_folder {
    int fd;
    int lock;
    char path[PATH_MAX]; /* absolute */
};

/* Makes the folder (not those above it), or takes over what a killed dev left there, emptying it. An empty folder will
 * do, too. -EBUSY when another dev is at work in it, -EEXIST when it holds anything else than ours, -ECANCELED when we
 * were asked to stop. */
int dev_folder_open(struct dev_folder *f, const char *path, struct stop_signals *s, struct error *e)
    __attribute__((warn_unused_result));

/* To be held open by whoever works in the folder. */
int dev_folder_lock(const struct dev_folder *f);

/* Makes a folder in `parent` (/tmp), for what can't lie in ours. It goes together with ours. */
int dev_folder_elsewhere(struct dev_folder *f, const char *parent, char ret[PATH_MAX], struct error *e)
    __attribute__((warn_unused_result));

enum dev_folder_end { DEV_FOLDER_REMOVE, DEV_FOLDER_KEEP };

/* Lets go of the folder, removing it with all that is in it unless told to keep it: then the next dev will. */
int dev_folder_close(struct dev_folder *f, enum dev_folder_end end, struct error *e)
    __attribute__((warn_unused_result));

#endif
