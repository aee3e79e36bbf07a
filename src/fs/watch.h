/* What happens beneath a root, as the kernel tells it (inotify): files that are complete, names that go, folders that
 * come. No thread of its own: a descriptor to poll and a call that reads.
 *
 *     fs_watch_open -> fs_watch_tree(root) -> [ fs_watch_read ]... -> fs_watch_close
 *
 * The rule that nothing slips through: a folder is put under watch first and listed afterwards. So for each folder that
 * is told (FS_WATCH_FOLDER), and after FS_WATCH_OVERFLOW for the root, the receiver calls fs_watch_tree, which does
 * both. Only one thread uses a watch. */
#ifndef FS_WATCH_H
#define FS_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "fs/walk.h"

enum fs_watch_kind {
    FS_WATCH_FILE,         /* closed after writing, moved in, or linked: as complete as we can know */
    FS_WATCH_APPEARED,     /* new and with content: complete, or being written, and then FS_WATCH_FILE follows */
    FS_WATCH_GONE,         /* deleted or moved away */
    FS_WATCH_FOLDER,       /* new: what is in it was not told */
    FS_WATCH_FOLDER_GONE,  /* deleted, after all that was in it */
    FS_WATCH_FOLDER_MOVED, /* away, with all beneath it, which is not told one by one */
    FS_WATCH_OVERFLOW,     /* events were lost; no path */
    FS_WATCH_ROOT_GONE /* the root itself was moved or unmounted; no path. Its removal is told only once nobody holds
                          a descriptor of it any more, ours included: look for that now and then */
};

struct fs_watch_event {
    enum fs_watch_kind kind;
    const char *path; /* relative to the root; valid during the call. safepath_check may not hold for it */
    size_t path_len;
};

typedef void fs_watch_fn(void *arg, const struct fs_watch_event *event);

struct fs_watch;

/* Watches nothing yet. root_fd and root_path, which names the same folder, are borrowed; the path is used where /proc
 * is not mounted. -EMFILE and a text that names fs.inotify.max_user_instances. */
int fs_watch_open(struct fs_watch **ret, int root_fd, const char *root_path, struct error *e)
    __attribute__((warn_unused_result));
void fs_watch_close(struct fs_watch *w); /* NULL is allowed */

int fs_watch_fd(const struct fs_watch *w);
size_t fs_watch_folders(const struct fs_watch *w);

/* Puts the folder `path` ("" for the root) and all beneath it under watch, each before it is listed, and tells what is
 * in them to fn as walk_beneath does, folders too. With fn NULL files are not looked at. -ENOSPC, and a text that names
 * fs.inotify.max_user_watches, when some could not be watched: all was told nevertheless. Else what fn returned, or
 * what kept the root from being listed. */
int fs_watch_tree(struct fs_watch *w, const char *path, walk_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

/* Waits until deadline_ms (clock_monotonic_ms) for events and tells them, up to a bufferful. How many bytes of events
 * were there, 0 when none came in time, or -errno. */
int fs_watch_read(struct fs_watch *w, int64_t deadline_ms, fs_watch_fn *fn, void *arg)
    __attribute__((warn_unused_result));

/* The name of a filesystem on which other machines' writes tell no events ("NFS"), NULL for all others. */
const char *fs_watch_network(int fd);

#endif
