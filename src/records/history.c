#include "records/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "store/store_tiers.h"

#define LATEST_US INT64_C(253402300799000000) /* the end of the year 9999 */

const struct store_history_page store_history_first = {.before_us = LATEST_US, .before_id = INT64_MAX};

int store_history_after(const char *cursor, struct store_history_page *ret, struct error *e)
{
    char *end, *end_of_id = NULL;
    long long us = strtoll(cursor, &end, 10);
    long long id = *end == '.' ? strtoll(end + 1, &end_of_id, 10) : 0;
    if (end == cursor || !end_of_id || *end_of_id || us < 0 || us > LATEST_US || id < 1)
        return error_set(e, -EINVAL, "the cursor is none of ours");
    ret->before_us = us;
    ret->before_id = id;
    return 0;
}

static void set_cursor(char ret[STORE_HISTORY_CURSOR_SIZE], int more, int64_t us, int64_t id)
{
    ret[0] = '\0';
    if (more)
        (void)snprintf(ret, STORE_HISTORY_CURSOR_SIZE, "%lld.%lld", (long long)us, (long long)id);
}

int store_jobs(struct store *store, const char *kind, const struct store_history_page *page,
               char ret_cursor[STORE_HISTORY_CURSOR_SIZE], void (*tell)(void *arg, const struct store_job *job),
               void *arg, struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    struct store_job job = {0};
    db_params_init(&params);
    db_param_text(&params, kind);
    db_param_time(&params, page->before_us);
    db_param_int(&params, page->before_id);
    db_param_int(&params, page->limit);
    int r = store_query(store, &sql_job_list, &params, &rows, e);
    if (r < 0)
        return r;
    for (int i = 0; i < db_rows(rows); i++) {
        job = (struct store_job){
            .id = db_int(rows, i, 0),
            .kind = db_text(rows, i, 1),
            .state = db_text(rows, i, 2),
            .host = db_text(rows, i, 3),
            .started_us = db_time(rows, i, 4),
            .finished_us = db_time(rows, i, 5),
            .result = db_text(rows, i, 6),
        };
        tell(arg, &job);
    }
    set_cursor(ret_cursor, db_rows(rows) == page->limit, job.started_us, job.id);
    db_result_free(rows);
    return 0;
}

static struct store_upload upload_of(const struct db_result *rows, int row)
{
    return (struct store_upload){
        .id = db_int(rows, row, 0),
        .name = db_text(rows, row, 1),
        .collection = db_text(rows, row, 2),
        .state = db_text(rows, row, 3),
        .why = db_text(rows, row, 4),
        .attempts = db_int(rows, row, 5),
        .size = db_int(rows, row, 6),
        .mime = db_text(rows, row, 7),
        .created_us = db_time(rows, row, 8),
        .completed_us = db_time(rows, row, 9),
        .path = db_text(rows, row, 10),
    };
}

int store_uploads(struct store *store, const char *state, const char *collection, const struct store_history_page *page,
                  char ret_cursor[STORE_HISTORY_CURSOR_SIZE],
                  void (*tell)(void *arg, const struct store_upload *upload), void *arg, struct error *e)
{
    enum { IS_MEANT = 11, IS_LAST };
    struct db_result *rows;
    struct db_params params;
    int is_due = state && strcmp(state, "completed") != 0;
    db_params_init(&params);
    db_param_text(&params, state);
    db_param_text(&params, collection);
    db_param_int(&params, page->before_id);
    db_param_int(&params, page->limit);
    int r = store_query(store, is_due ? &sql_upload_list_due : &sql_upload_list, &params, &rows, e);
    if (r < 0)
        return r;
    int count = db_rows(rows);
    for (int i = 0; i < count; i++) {
        struct store_upload upload = upload_of(rows, i);
        if (db_int(rows, i, IS_MEANT))
            tell(arg, &upload);
    }
    set_cursor(ret_cursor, count && !db_int(rows, count - 1, IS_LAST), 0, count ? db_int(rows, count - 1, 0) : 0);
    db_result_free(rows);
    return 0;
}

int store_requests(struct store *store, int hours,
                   void (*tell)(void *arg, int64_t hour_us, const char *collection, int64_t requests), void *arg,
                   struct error *e)
{
    struct db_result *rows;
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, hours);
    int r = store_query(store, &sql_access_list, &params, &rows, e);
    if (r < 0)
        return r;
    for (int i = 0; i < db_rows(rows); i++)
        tell(arg, db_time(rows, i, 0), db_text(rows, i, 1), db_int(rows, i, 2));
    db_result_free(rows);
    return 0;
}
