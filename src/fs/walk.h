/* Walking the tree beneath a root: every file once, in no particular order, memory bounded by the number of folders
 * that wait to be read. Folders are opened from the root's descriptor without following links, so a folder swapped
 * for a link while we walk is an error entry and never a way out. SAFEPATH_OWN_FOLDER is passed over. */
#ifndef FS_WALK_H
#define FS_WALK_H

#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

enum walk_kind {
    WALK_FILE,        /* a regular file; st is set */
    WALK_LINKED_FILE, /* a symbolic link to a regular file beneath the root; st is the target's */
    WALK_LINKED_DIR,  /* a symbolic link to a folder beneath the root: not entered */
    WALK_SPECIAL,     /* FIFO, socket or device, or a symbolic link to one; st is set */
    WALK_UNREADABLE,  /* file, folder or link that can't be looked at: code and text say why */
    WALK_FOLDER       /* a folder that is about to be listed; only where walk_beneath was asked for folders */
};

struct walk_entry {
    enum walk_kind kind;
    const char *path; /* relative to the root; valid during the call. safepath_check holds for it, but with
                         WALK_UNREADABLE it may be too long, or have \xHH for bytes that are not UTF-8 */
    size_t path_len;
    struct stat st;
    struct error error; /* set for WALK_UNREADABLE: too long, not UTF-8, escaping link, dangling link, EACCES ...
                           The text is written to follow the path, which it does not repeat */
};

/* Called for each entry; a non-zero return stops the walk and is returned by it. */
typedef int walk_fn(void *arg, const struct walk_entry *entry);

/* Walks everything beneath root_fd. 0, what fn returned, or -ENOMEM. A folder that can't be listed is an entry of its
 * own and does not stop the walk; only the root itself not being listable does (its -errno, with a text). */
int walk_tree(int root_fd, walk_fn *fn, void *arg, struct error *e) __attribute__((warn_unused_result));

enum walk_what {
    WALK_FILES,   /* as walk_tree */
    WALK_FOLDERS, /* folders alone: files are not even looked at */
    WALK_ALL
};

/* Likewise from the folder `path` on ("" for the root); paths are relative to the root all the same. A folder that is
 * not there has nothing beneath it. */
int walk_beneath(int root_fd, const char *path, enum walk_what what, walk_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

#endif
