#include "fs/filestate.h"

#include <string.h>

#include "base/clock.h"

struct filestate filestate_of(const struct stat *st)
{
    return (struct filestate){st->st_dev, st->st_ino, st->st_size, clock_ns(st->st_mtim), clock_ns(st->st_ctim)};
}

int filestate_equal(const struct filestate *a, const struct filestate *b)
{
    return memcmp(a, b, sizeof *a) == 0; /* there is no padding */
}
