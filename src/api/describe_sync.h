/* Uploads and copies in numbers, as people and programs ask for them: `sync-temp-images --stats`, /cache-stats. */
#ifndef API_DESCRIBE_SYNC_H
#define API_DESCRIBE_SYNC_H

#include <jansson.h>

#include "records/uploads.h"

#define SYNC_STATS_COLLECTIONS 64

struct describe_sync {
    struct uploads_counts uploads;
    int len;
    struct describe_sync_collection {
        const char *name; /* the settings' */
        struct uploads_count uploads;
        struct store_tally copies;
    } collections[SYNC_STATS_COLLECTIONS];
    struct store_tally copies; /* of all */
    int synced;                /* a sync was recorded */
    struct store_status_job last_sync;
};

int describe_sync(struct store *store, struct describe_sync *ret, struct error *e) __attribute__((warn_unused_result));

/* {"total_temp_files", "total_cache_files", "by_type", ...} */
json_t *describe_sync_describe(const struct describe_sync *s);

/* {"cache", "temp_uploads", "system"}, of one collection. */
json_t *describe_sync_describe_one(const struct describe_sync *s, const char *collection, const struct config *config);

/* What waits for its bucket, of all collections or one. */
json_t *describe_sync_describe_uploads(const struct uploads_count *count);

#endif
