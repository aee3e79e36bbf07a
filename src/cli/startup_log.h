/* The first lines of the log of `serve` and `run`: what this instance works with, so that a misspelt folder or another
 * database than the meant one is seen at once. */
#ifndef CLI_STARTUP_LOG_H
#define CLI_STARTUP_LOG_H

#include "store/store.h"

struct startup_log;

/* Logs the version, each folder with what it holds (those that do not exist are created), the database and Redis.
 * Contacts none of them and counts files for a moment only. NULL when out of memory; the store is borrowed. */
struct startup_log *startup_log_begin(struct store *store);

/* Once the database has been reached: logs its migrations and how much is stored, and warns when nothing is and a
 * folder had to be created; logs whether Redis answers. Waits for both. NULL is allowed. */
void startup_log_services(struct startup_log *l);

void startup_log_free(struct startup_log *l); /* NULL is allowed */

#endif
