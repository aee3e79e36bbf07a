/* Uploads and copies in numbers, as people and programs ask for them: `sync-temp-images --stats`, /cache-stats. */
#ifndef JOB_SYNC_STATS_H
#define JOB_SYNC_STATS_H

#include <jansson.h>

#include "store/uploads.h"

#define SYNC_STATS_COLLECTIONS 64

struct sync_stats {
    struct uploads_counts uploads;
    int len;
    struct sync_stats_collection {
        const char *name; /* the settings' */
        struct uploads_count uploads;
        struct store_tally copies;
    } collections[SYNC_STATS_COLLECTIONS];
    struct store_tally copies; /* of all */
    int synced;                /* a sync was recorded */
    struct store_status_job last_sync;
};

int sync_stats(struct store *store, struct sync_stats *ret, struct error *e) __attribute__((warn_unused_result));

/* {"total_temp_files", "total_cache_files", "by_type", ...} */
json_t *sync_stats_describe(const struct sync_stats *s);

/* {"cache", "temp_uploads", "system"}, of one collection. */
json_t *sync_stats_describe_one(const struct sync_stats *s, const char *collection, const struct config *config);

/* What waits for its bucket, of all collections or one. */
json_t *sync_stats_describe_uploads(const struct uploads_count *count);

#endif
