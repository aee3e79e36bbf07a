/* Paths inside a collection, and opening them so that nothing escapes the collection's root.
 *
 * A path is relative, '/'-separated UTF-8 as the app wrote it. Opening goes through openat2(2) with RESOLVE_BENEATH |
 * RESOLVE_NO_MAGICLINKS from the root's descriptor; where the kernel (before 5.6) or a seccomp filter refuses that
 * call (ENOSYS, EPERM), component by component with O_NOFOLLOW, which follows no link at all. Texts are written to
 * follow the path, which they do not repeat. */
#ifndef FS_SAFEPATH_H
#define FS_SAFEPATH_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* Longest path in bytes, and longest component. A b-tree entry of PostgreSQL ends at about 2,700 bytes. */
#define SAFEPATH_MAX      2048
#define SAFEPATH_NAME_MAX 255

/* Where our own files lie beneath a root; never an image, never walked. */
#define SAFEPATH_OWN_FOLDER ".perdura"

enum safepath_links {
    SAFEPATH_NO_LINKS, /* a symbolic link anywhere in the path: -ELOOP */
    SAFEPATH_BENEATH   /* links may be followed as long as they stay beneath the root: -EXDEV when one leaves it, as
                          each absolute one does; -ELOOP where openat2 is refused */
};

/* 0 when `path` can name an image: 1 to SAFEPATH_MAX bytes of valid UTF-8 without NUL (len says how many bytes are
 * meant), not absolute, no empty, "." or ".." component, no component over SAFEPATH_NAME_MAX bytes, first component
 * not SAFEPATH_OWN_FOLDER. Else -EINVAL (-ENAMETOOLONG for lengths, -EILSEQ for UTF-8) and a text that says why. */
int safepath_check(const char *path, size_t len, struct error *e) __attribute__((warn_unused_result));

/* Opens `path` (already checked, or "." for the root itself) beneath root_fd with open(2) `flags` (O_CLOEXEC is
 * added; O_CREAT is not for here). O_PATH | O_NOFOLLOW opens a link that is the last component itself, as open(2)
 * does. Returns a descriptor or -errno. */
int safepath_open(int root_fd, const char *path, int flags, enum safepath_links links)
    __attribute__((warn_unused_result));

/* Likewise, when the kernel has all that it needs for it in memory, so that it does not wait for a disk (openat2(2),
 * RESOLVE_CACHED); else -EAGAIN. */
int safepath_open_cached(int root_fd, const char *path, int flags, enum safepath_links links)
    __attribute__((warn_unused_result));

/* For a file that a stat has shown: -ENOENT when it is not there after all, else 0. Network filesystems and FUSE answer
 * a stat from a cache, and ask their server when a file is opened. */
int safepath_confirm(int root_fd, const char *path) __attribute__((warn_unused_result));

enum safepath_make {
    SAFEPATH_MAKE_NONE,
    SAFEPATH_MAKE,     /* folders that are missing (mode 0777 less umask) */
    SAFEPATH_MAKE_ANEW /* likewise; a filesystem's cache is not believed: the making of each folder is tried */
};

/* Opens the folder that `path` lies in, making folders on the way as `make` says. Links to folders are followed as
 * long as they stay beneath the root (SAFEPATH_BENEATH). Sets *ret_name to the last component, inside `path`. Returns a
 * descriptor (O_PATH is not used: it can be fsynced) or -errno. */
int safepath_open_parent(int root_fd, const char *path, enum safepath_make make, const char **ret_name)
    __attribute__((warn_unused_result));

/* 1 when SAFEPATH_BENEATH can follow links on this machine, 0 when openat2 is refused. */
int safepath_follows_links(void);

/* For tests: 1 makes safepath_open behave as if openat2 were refused, 0 as usual. */
void safepath_force_fallback(int on);

#endif
