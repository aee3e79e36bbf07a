#include "fs/make_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int make_folder(const char *path, struct error *e)
{
    char *part = strdup(path);
    if (!part)
        return error_set(e, -ENOMEM, "out of memory");
    int r = 0;
    for (char *at = part + 1; r == 0; at++) {
        at += strcspn(at, "/");
        char end = *at;
        *at = '\0';
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            r = error_set(e, -errno, "the folder %s can't be made: %s", part, strerror(errno));
        if (!end)
            break;
        *at = end;
    }
    free(part);
    return r;
}
