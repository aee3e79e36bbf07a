#include "store/copies_on_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/config.h"
#include "tier/copy_meta.h"
#include "tier/tier_copies.h"

#define DAY_US INT64_C(86400000000)

struct visit {
    int64_t before_us; /* files modified at that time or before */
    int remove;
    struct store_tally tally;
    int failed; /* -errno of the first that could not be removed */
};

static void visit_file(struct visit *v, int folder, const char *name)
{
    struct stat st;
    if (!copy_name_is(name) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        clock_ns(st.st_mtim) / 1000 > v->before_us)
        return;
    if (v->remove && unlinkat(folder, name, 0) < 0) {
        if (errno != ENOENT && !v->failed)
            v->failed = -errno;
        return;
    }
    if (v->remove)
        tier_copies_drop_note(folder, name);
    v->tally.images++;
    v->tally.bytes += st.st_size;
}

static int visit_collection(struct visit *v, const char *cache_dir, const char *collection, struct error *e)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", cache_dir, collection) >= (int)sizeof path)
        return error_set(e, -ENAMETOOLONG, "PERDURA_CACHE_DIR: %s is too long", cache_dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return error_set(e, r, "PERDURA_CACHE_DIR: %s can't be read: %s", path, strerror(-r));
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        visit_file(v, dirfd(folder), entry->d_name);
    if (v->remove)
        tier_copies_sweep_notes(dirfd(folder));
    closedir(folder);
    if (v->failed)
        return error_set(e, v->failed, "PERDURA_CACHE_DIR: not all of %s can be removed: %s", path,
                         strerror(-v->failed));
    return 0;
}

int copies_on_disk_count(const struct config *config, const char *collection, struct store_tally *ret, struct error *e)
{
    struct visit v = {.before_us = INT64_MAX};
    int r = visit_collection(&v, config->cache_dir, collection, e);
    if (r == 0)
        *ret = v.tally;
    return r;
}

int copies_on_disk_clean(const struct config *config, int days, int dry_run, struct store_tally *ret, struct error *e)
{
    struct visit v = {.before_us = clock_realtime_us() - days * DAY_US, .remove = !dry_run};
    int r = 0;
    for (size_t i = 0; r == 0 && i < config->image_origins_len; i++)
        r = visit_collection(&v, config->cache_dir, config->image_origins[i].collection, e);
    *ret = v.tally;
    return r;
}
