/* What was done lately, the newest first: jobs, uploads, requests by hour. */
#ifndef RECORDS_HISTORY_H
#define RECORDS_HISTORY_H

#include "store/store.h"

/* Where a page begins, and how long it may be. */
struct store_history_page {
    int limit;
    int64_t before_us, before_id;
};

extern const struct store_history_page store_history_first; /* without a limit */

/* "" behind the last page. */
#define STORE_HISTORY_CURSOR_SIZE 48

/* Begins behind the page that gave this cursor. -EINVAL. */
int store_history_after(const char *cursor, struct store_history_page *ret, struct error *e)
    __attribute__((warn_unused_result));

/* A job that has ended. Texts are borrowed for the call. */
struct store_job {
    int64_t id;
    const char *kind, *state, *host, *result; /* JSON */
    int64_t started_us, finished_us;
};

/* `kind` NULL: of all kinds. */
int store_jobs(struct store *store, const char *kind, const struct store_history_page *page,
               char ret_cursor[STORE_HISTORY_CURSOR_SIZE], void (*tell)(void *arg, const struct store_job *job),
               void *arg, struct error *e) __attribute__((warn_unused_result));

/* An upload. Texts are borrowed for the call, and NULL where there is none. */
struct store_upload {
    int64_t id;
    const char *name, *collection, *state, *why, *mime, *path;
    int64_t attempts, size;
    int64_t created_us, completed_us; /* 0: not completed */
};

/* `state` and `collection` NULL: any. Of a page of completed ones, and of all states, that is far from the newest, some
 * may be on the next. */
int store_uploads(struct store *store, const char *state, const char *collection, const struct store_history_page *page,
                  char ret_cursor[STORE_HISTORY_CURSOR_SIZE],
                  void (*tell)(void *arg, const struct store_upload *upload), void *arg, struct error *e)
    __attribute__((warn_unused_result));

/* Requests of the last `hours`, of all instances, the oldest first. */
int store_requests(struct store *store, int hours,
                   void (*tell)(void *arg, int64_t hour_us, const char *collection, int64_t requests), void *arg,
                   struct error *e) __attribute__((warn_unused_result));

#endif
