/* How long Redis keeps images and how many the memory holds, by the hour of the day (PERDURA_ADAPTIVE_TTL): a peak hour
 * has a shorter TTL and a larger size.
 *
 * An hour is a peak when, at this hour of the day in the last seven days, requests were on average more than
 * USAGE_THRESHOLD, or when there already are more since it began. The average is over the days that had any at that
 * hour. As long as nothing is known at all, the hours from nine to seven in the evening, local time, are taken for
 * peaks. What is known is access_hour, which all instances write (access.h), so that all come to the same. */
#ifndef STATS_ADAPTIVE_H
#define STATS_ADAPTIVE_H

#include <stdint.h>

#include "base/error.h"
#include "store/store.h"

#define ADAPTIVE_HOURS   168
#define ADAPTIVE_LOOK_MS 60000

struct adaptive_limits {
    int peak;
    int ttl_s;
    int items;
    int64_t hour_requests; /* what was held against the threshold */
};

/* history[i]: requests i hours ago, [0] since the present hour began. hour: of the day, local, 0 to 23. */
struct adaptive_limits adaptive_decide(const int64_t history[ADAPTIVE_HOURS], int hour, const struct config *config);

/* The limits of this moment; DEFAULT_TTL and DEFAULT_CACHE_SIZE, without a question, where PERDURA_ADAPTIVE_TTL is off.
 * Untouched when the database can't be asked. */
int adaptive_look(struct store *store, struct adaptive_limits *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Looks at once and then every ADAPTIVE_LOOK_MS, which costs one query of at most 168 rows. While the database is away
 * the last limits stay. */
struct adaptive;

/* Told at the start, and by the thread whenever they change. */
typedef void adaptive_apply_fn(void *arg, const struct adaptive_limits *limits);

/* The store is borrowed. -ENOMEM, -EAGAIN (no more threads). */
int adaptive_start(struct adaptive **ret, struct store *store, adaptive_apply_fn *apply, void *arg)
    __attribute__((warn_unused_result));

/* Those last told. From any thread. */
struct adaptive_limits adaptive_limits(struct adaptive *a);

/* Ends the thread, which a database that does not answer holds for a second at most, and frees. NULL is allowed. */
void adaptive_stop(struct adaptive *a);

#endif
