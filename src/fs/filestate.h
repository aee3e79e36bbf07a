/* Which file, and which content of it: while all of this stays the same, so do the bytes. That can be relied on for a
 * file that is older than a tick of the kernel's clock (fs/readfile.h). */
#ifndef FS_FILESTATE_H
#define FS_FILESTATE_H

#include <stdint.h>
#include <sys/stat.h>

struct filestate {
    uint64_t dev, ino;
    int64_t size, mtime_ns, ctime_ns;
};

struct filestate filestate_of(const struct stat *st);

int filestate_equal(const struct filestate *a, const struct filestate *b);

#endif
