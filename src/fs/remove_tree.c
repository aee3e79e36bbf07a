#include "fs/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Entries that appear while we remove the others call for another round. */
#define ROUNDS 5

static int same_filesystem(int a, int b)
{
    struct stat st_a, st_b;
    return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev;
}

int remove_tree_entries(int folder_fd, const char *except)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int r = 0;
    if (!dir) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (r == 0 && (errno = 0, entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && (!except || strcmp(name, except) != 0))
            r = remove_tree(folder_fd, name);
    }
    if (r == 0)
        r = -errno;
    closedir(dir);
    return r;
}

static int remove_folder(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = same_filesystem(parent_fd, fd) ? -ENOTEMPTY : -EXDEV;
    for (int round = 0; r == -ENOTEMPTY && round < ROUNDS; round++) {
        r = remove_tree_entries(fd, NULL);
        if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            r = errno == EEXIST ? -ENOTEMPTY : -errno;
    }
    close(fd);
    return r;
}

int remove_tree(int parent_fd, const char *name)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    return errno == EISDIR ? remove_folder(parent_fd, name) : -errno;
}
