/* Copies of what a lower tier holds, many at once: one sync for all of a folder. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "tier/tier_disk.h"

#define CLOCK_LAG_US INT64_C(1000000) /* by how much the clock that stamps files may be behind ours */

int64_t tier_disk_atime_ns(const struct image_meta *meta)
{
    int64_t past_us = clock_realtime_us() - CLOCK_LAG_US;
    return (meta->accessed_us < past_us ? meta->accessed_us : past_us) * 1000;
}

static int next_of(struct image *const *images, int count, int from, const char *collection)
{
    while (from < count && strcmp(images[from]->meta.key.collection, collection) != 0)
        from++;
    return from;
}

/* Fills those of one collection; each that failed, or was not needed, is just not there. */
static void fill_collection(struct tier_disk *disk, struct image *const *images, const uint64_t *marks, int count,
                            const char *collection, struct atomicfile *files)
{
    struct staging *staging;
    int written = 0;
    if (tier_disk_staging(disk, collection, &staging, NULL) < 0)
        return;
    for (int i = next_of(images, count, 0, collection); i < count; i = next_of(images, count, i + 1, collection)) {
        const struct image_meta *meta = &images[i]->meta;
        struct atomicfile *file = &files[written];
        *file = (struct atomicfile){
            .gate = tier_disk_copies(disk, collection), .mark = marks[i], .atime_ns = tier_disk_atime_ns(meta)};
        if (atomicfile_write(staging, file, images[i]->bytes, (size_t)meta->size, meta->mtime_ns, NULL) < 0)
            continue;
        file->path = meta->key.path;
        written++;
    }
    if (written)
        (void)!atomicfile_publish(staging, files, written); /* each file holds its own result */
    for (int i = 0; i < written; i++)
        metric_add(METRIC_heals, METRIC_none, METRIC_none, files[i].result == 0);
}

void tier_disk_fill(struct tier_disk *disk, struct image *const *images, const uint64_t *marks, int count)
{
    struct atomicfile files[TIER_DISK_FILL_MAX];
    for (int i = 0; i < count; i++) {
        const char *collection = images[i]->meta.key.collection;
        if (next_of(images, count, 0, collection) == i) /* the first of its collection */
            fill_collection(disk, images, marks, count, collection, files);
    }
}
