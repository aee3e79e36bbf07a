#include "fs/fserror.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
    int code;
    const char *advice;
} advices[] = {
    {EACCES, "give the user that Perdura runs as access to it and to the folders above it"},
    {EPERM, "give the user that Perdura runs as access to it, and look for an immutable flag (lsattr)"},
    {ENOSPC, "the disk is full: free some space or enlarge it"},
    {EDQUOT, "the quota is used up: free some space or raise it"},
    {EROFS, "mount the filesystem writable"},
    {EMFILE, "raise the limit of open files of this process (ulimit -n)"},
    {ENFILE, "raise the machine's limit of open files (sysctl fs.file-max)"},
    {EIO, "the disk reports an error: look into the kernel's log and check the disk"},
    {ESTALE, "the network filesystem lost it: check its server and mount it again"},
    {ENOENT, "it or a folder above it is gone"},
    {ENOTDIR, "something above it is a file and no folder: move one of the two away"},
    {ELOOP, "it or a folder above it is a symbolic link, which is not followed here: put a real one in its place"},
    {EXDEV, "a link on the way leads out of the collection's folder: put the file there itself"},
    {ENAMETOOLONG, "shorten its name"},
    {EFBIG, "it is larger than the filesystem or this process' limit (ulimit -f) allows"},
    {ENOMEM, "memory ran out: raise the limit or lower the sizes of the caches"},
};

int fserror_set(struct error *e, int code, const char *what)
{
    const char *reason = strerrordesc_np(-code);
    if (!reason)
        reason = "unknown error";

    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
        if (advices[i].code == -code)
            return error_set(e, code, "%s: %s; %s", what, reason, advices[i].advice);
    return error_set(e, code, "%s: %s", what, reason);
}

int fserror_passes(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -EAGAIN;
}
