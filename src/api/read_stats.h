/* Reads by tier in each of the last minutes: a thread looks at the metrics once a minute, and no request pays for it.
 */
#ifndef API_READ_STATS_H
#define API_READ_STATS_H

#include <jansson.h>

struct read_stats;

#define READ_STATS_MINUTES 60

int read_stats_start(struct read_stats **ret) __attribute__((warn_unused_result));
void read_stats_stop(struct read_stats *m); /* NULL is allowed */

/* A list, the oldest first, of {"at": the minute's begin, "memory", "disk", "redis", "db", "origin": images read there,
 * "missed": asked for and nowhere, "errors": reads that a tier could not answer}. The last one is not over yet. */
json_t *read_stats_describe(struct read_stats *m);

#endif
