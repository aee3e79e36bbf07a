/* Removing a folder with all that is in it, and nothing else. */
#ifndef FS_REMOVE_TREE_H
#define FS_REMOVE_TREE_H

/* Removes `name`, an entry of the folder parent_fd: a file, a link (which is never followed), or a folder with all that
 * is in it. 0, also when there is no such entry; -EXDEV when another filesystem is mounted in there, which stays as it
 * is; -ENOTEMPTY when somebody keeps adding to it; or another -errno. */
int remove_tree(int parent_fd, const char *name) __attribute__((warn_unused_result));

/* Likewise for everything in the folder but the entry `except` (NULL: everything). */
int remove_tree_entries(int folder_fd, const char *except) __attribute__((warn_unused_result));

#endif
