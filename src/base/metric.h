/* What the program counts, for Prometheus. metrics.def is the only list: one line there is one metric.
 *
 *     metric_inc(METRIC_heals);
 *     metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
 *     metric_observe(METRIC_http_request_seconds, METRIC_none, METRIC_none, elapsed_us);
 *
 * Counting is one relaxed atomic addition in one of a few cells that threads share by turns; nothing is allocated.
 * Each value of a label belongs to its label: metric_add(METRIC_reads, METRIC_route_media, ...) is a mistake that an
 * assertion tells. All calls may come from any thread. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdint.h>

#include "base/buf.h"

enum metric_id {
#define METRIC(id, ...) METRIC_##id,
#include "base/metrics.def"
    METRICS
};

/* METRIC_tier_memory ...; METRIC_none for a label that a metric does not have. */
enum metric_value {
#define VALUE(label, value) METRIC_##label##_##value,
#include "base/metrics.def"
    METRIC_VALUES
};

#define METRIC_none METRIC_none_none

/* Counters: adds n, never negative. */
void metric_add(enum metric_id id, enum metric_value label, enum metric_value label2, int64_t n);

/* Counters without labels: adds 1. */
void metric_inc(enum metric_id id);

/* Histograms of MICROSECONDS: one more that took so long. */
void metric_observe(enum metric_id id, enum metric_value label, enum metric_value label2, int64_t us);

/* Gauges: the present value, in the metric's unit. A gauge is not shown before it was set or has a reader. */
void metric_set(enum metric_id id, enum metric_value label, enum metric_value label2, int64_t value);

/* Gauges: from now on `read` is asked for the value when someone looks, one at a time. NULL takes the reader, and so
 * the gauge, away: when this returns it is no longer running. A reader must not wait for whoever calls this, nor call
 * anything of this header. */
typedef int64_t metric_read_fn(void *arg);
void metric_reader(enum metric_id id, enum metric_value label, enum metric_value label2, metric_read_fn *read,
                   void *arg);

/* A counter's or a gauge's present value, or how many a histogram has counted; 0 for a gauge that is not shown. */
int64_t metric_get(enum metric_id id, enum metric_value label, enum metric_value label2);

#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends all of them in Prometheus's text format 0.0.4. Series with two labels are shown from their first count on,
 * all others at once. 0, -EMSGSIZE, -ENOMEM. */
int metric_print(struct buf *out) __attribute__((warn_unused_result));

/* The class of a status, as a value of the label `code`. */
enum metric_value metric_code(int status);

/* The tier of that name, and the job ("cache-all"), as values of `tier` and `kind`. */
enum metric_value metric_tier(const char *name);
enum metric_value metric_kind(const char *name);

#endif
