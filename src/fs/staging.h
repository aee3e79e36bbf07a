/* The folder in which a process keeps files that have no name of their own yet.
 *
 *     <root>/.perdura/tmp.XXXXXXXXXXXXXXXX/lock      held with flock(2) while the owner lives
 *                                          1, 2 ...  temporaries
 *
 * The lock is on a file because NFS takes locks on files to its server and keeps those on folders to itself. How a
 * folder that is being made is told from one whose owner died:
 *
 *     owner:    mkdir, create `lock`, flock it, then look whether `lock` is still there; if any step fails for a
 *               sweeper's sake, start again under another name
 *     sweeper:  flock `lock`; only with it in hand remove temporaries, then `lock`, then the folder; a folder without
 *               `lock` is removed if it is empty
 *
 * So whichever locks first wins, and no lock is waited for. Where the filesystem has no locks, nobody can take one:
 * leftovers stay until they are removed by hand. */
#ifndef FS_STAGING_H
#define FS_STAGING_H

#include "base/error.h"

/* May be shared by threads, but for staging_close. */
struct staging;

/* Makes this process' staging folder beneath root_fd (borrowed: it must outlive the staging) and removes what dead
 * owners left. -errno, with a text to follow the root's path. */
int staging_open(int root_fd, struct staging **ret, struct error *e) __attribute__((warn_unused_result));

/* Removes the folder and whatever is still in it. NULL is allowed. */
void staging_close(struct staging *s);

/* Removes the leftovers of dead owners beneath root_fd; makes nothing. Returns how many temporaries went, or -errno. */
int staging_sweep(int root_fd);

/* Makes all renames so far durable, of whatever staging beneath root_fd (syncfs). 0 or -errno. */
int staging_sync(int root_fd) __attribute__((warn_unused_result));

/* For atomicfile.c. */

#define STAGING_NAME_SIZE 32

/* Creates an empty temporary (mode 0666 less umask) and sets `name`. Makes the folder anew when somebody removed it
 * (a media folder being emptied takes it along). Returns a descriptor to write to and to read from, or -errno. */
int staging_create(struct staging *s, char name[STAGING_NAME_SIZE]) __attribute__((warn_unused_result));

/* The descriptors of the staging folder and of the root; they stay the staging's. */
int staging_folder(const struct staging *s);
int staging_root(const struct staging *s);

#endif
