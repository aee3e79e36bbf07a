/* Giving a temporary of a staging folder its name, and taking a file aside, so that nothing of somebody else's is lost
 * on the way. Private to fs/atomicfile.c and fs/staging.c.
 *
 * Whoever exchanges two names has, for a moment, in the staging folder what was written to the path since he looked. So
 * that it does not go with the temporaries of a process that is killed then, a note lies beside temporary N first: the
 * link N.of, which leads nowhere. Its text has inode, size and time of N and of the file that may go, and the path.
 * Whoever sweeps puts back what is neither. */
#ifndef FS_NAMING_H
#define FS_NAMING_H

#include <sys/stat.h>

/* Both by their st_dev, st_ino, st_size and st_mtim. */
int naming_same(const struct stat *a, const struct stat *b);

/* 0 when what is at `name` is what `seen` describes; -EEXIST, -EISDIR, -ENOENT, or another -errno. */
int naming_check(int folder_fd, const char *name, const struct stat *seen);

/* Where nothing has the name yet: -EEXIST, -EISDIR. */
int naming_new(int from_fd, const char *from, int to_fd, const char *to);

/* Puts temporary `from` in the place of the file `seen`, and of no other: the two are exchanged, and what comes out
 * tells whether somebody wrote there since naming_check. If so, it goes back, again and again as long as what comes out
 * is not what was put in: the last to write wins, and -EEXIST. `path` leads from the root to to_fd's `to`. */
int naming_exchange(int from_fd, const char *from, int to_fd, const char *to, const char *path,
                    const struct stat *seen);

/* Puts the file `seen`, and no other, in the place of temporary `to`, which then goes. -EEXIST: it was another one, and
 * has its name still. */
int naming_displace(int from_fd, const char *from, int to_fd, const char *to, const char *path,
                    const struct stat *seen);

/* Whether there is a note on a temporary: then it may be somebody else's, and goes with the sweep. */
int naming_has_note(int folder_fd, const char *name);

/* Whether an entry of a staging folder is a note whose temporary is gone; or is still there. */
enum naming_entry { NAMING_TEMPORARY, NAMING_NOTE, NAMING_NOTE_LEFT };
enum naming_entry naming_entry(int folder_fd, const char *entry);

/* Nobody uses the temporary any more: puts it back if there is a note and it is somebody else's, unless a newer file
 * has its name by now. 0: what is left of it may be removed; -errno: it could not be put back. */
int naming_recover(int root_fd, int folder_fd, const char *name);

void naming_forget(int folder_fd, const char *name);

#endif
