/* The one place where the parts of a running instance are built and joined: what is done before the app starts, the
 * watch over its folders, the HTTP service and what it notes. Ending is the reverse, with a last flush.
 *
 *     service_start -> [ service_hold ] -> ... -> service_end
 *
 * A database that is down holds up nothing for long: it is asked again in the background (prepare.h). */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include "process/stop_signals.h"
#include "store/store.h"

struct service;

enum service_part {
    SERVICE_MIGRATE = 1,      /* bring the tables up to date */
    SERVICE_RESTORE = 2,      /* put files back, as PERDURA_RESTORE says */
    SERVICE_HTTP_OPTIONAL = 4 /* an address that can't be listened on is a warning and no failure */
};

/* The exit code for "not everything is persisted" (EX_TEMPFAIL). */
#define SERVICE_UNFLUSHED 75

/* Watches and listens when it returns; restoring has begun. `parts`: bits of enum service_part. The signals must be
 * open, the store outlives the service. 0, or an exit code after a message. */
int service_start(struct service **ret, struct store *store, unsigned parts, struct stop_signals *signals)
    __attribute__((warn_unused_result));

/* Logs where it listens. */
void service_announce(const struct service *s);

/* PERDURA_RESTORE=block: waits until files are back, PERDURA_RESTORE_BUDGET after service_start, or we are asked to
 * stop. Else returns at once. */
void service_hold(struct service *s);

/* Where it listens, NULL when it does not. */
const char *service_url(const struct service *s);

/* Where to log in to the admin page, once and within 15 minutes; see http_server_login_link. -ENOTCONN: it does not
 * listen; -EIO. */
#define SERVICE_LINK_SIZE 320
int service_login_link(const struct service *s, char ret[SERVICE_LINK_SIZE]) __attribute__((warn_unused_result));

/* Ends without a flush.
 *
 * Where a part is held by a database that does not answer, the process ends here, with `code`: what is left of it is
 * for the kernel to clear away, and the store must not be closed under it. */
void service_stop(struct service *s, int code);

/* Persists what is not persisted by deadline_ms (clock_monotonic_ms), or names it, then stops. Returns `code`, or
 * SERVICE_UNFLUSHED in place of 0; then, or as service_stop has it, the process may end here. */
int service_end(struct service *s, int64_t deadline_ms, int code);

#endif
