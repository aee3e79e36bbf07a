/* A row in the table `instance` as long as this process runs, and the uses of files by the app, noted once a day, when
 * a cleaning asks for it, and at the end (job/use.h). At the first contact with the database it reports the images that
 * version 0.1.0 has put into the trash although nobody deleted them. */
#ifndef JOB_INSTANCE_H
#define JOB_INSTANCE_H

#include "store/store.h"

struct instance;

/* Starts the thread. -ENOMEM, -EAGAIN (no more threads). */
int instance_start(struct instance **ret, struct store *store) __attribute__((warn_unused_result));

/* Has it look at once whether a cleaning asks for uses. NULL is allowed. */
void instance_wake(struct instance *i);

/* Whether it has noted uses, or tried to, since that moment of the server's clock (microseconds since 1970), and the
 * table says so. */
int instance_has_noted(struct instance *i, int64_t since_us);

/* Notes the last uses, until deadline_ms (clock_monotonic_ms) and for INSTANCE_LAST_MS at most, ends the thread and
 * frees. -ETIMEDOUT: the database holds it; then nothing is freed, and it may be called again. NULL is allowed. */
#define INSTANCE_LAST_MS 3000
int instance_stop(struct instance *i, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
