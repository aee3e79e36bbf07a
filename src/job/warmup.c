#include "job/warmup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/db.h"
#include "job/restore.h"
#include "sql.h"
#include "stats/adaptive.h"

void warmup_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    restore_init(job, store, problem, arg);
    job->kind = "warmup";
}

/* By highest averages (D'Hondt): the next place goes to the one with the most requests a place. */
void warmup_divide(const struct warmup_demand *demands, size_t len, int64_t most, int64_t *places)
{
    memset(places, 0, len * sizeof *places);
    for (; most > 0; most--) {
        size_t next = len;
        double highest = 0;
        for (size_t i = 0; i < len; i++) {
            double average = (double)(demands[i].requests + 1) / (double)(places[i] + 1);
            if (places[i] < demands[i].images && average > highest) {
                highest = average;
                next = i;
            }
        }
        if (next == len)
            return;
        places[next]++;
    }
}

static size_t count(const char *const *collections)
{
    size_t n = 0;
    while (collections[n])
        n++;
    return n;
}

static int read_demands(struct store *store, const char *const *collections, struct warmup_demand *ret, struct error *e)
{
    struct db_array names;
    struct db_params params;
    struct db_conn *conn;
    struct db_result *rows = NULL;
    int r = 0;
    db_array_init(&names, DB_TEXT, 1 << 20);
    for (size_t i = 0; r == 0 && collections[i]; i++)
        r = db_array_add_text(&names, collections[i]);
    if (r < 0)
        (void)error_set(e, r, "out of memory");
    db_params_init(&params);
    db_param_array(&params, &names);
    if (r == 0)
        r = db_get(store_pool(store), &conn, e);
    if (r == 0) {
        r = db_query(conn, &sql_warmup_demand, &params, &rows, e);
        db_put(conn);
    }
    db_array_release(&names);
    for (int row = 0; r == 0 && row < db_rows(rows); row++)
        for (size_t i = 0; collections[i]; i++)
            if (strcmp(collections[i], db_text(rows, row, 0)) == 0)
                ret[i] = (struct warmup_demand){db_int(rows, row, 1), db_int(rows, row, 2)};
    db_result_free(rows);
    return r;
}

static int look(struct job *job, const char *const *collections, struct adaptive_limits *limits,
                struct warmup_demand *demands, struct error *e)
{
    int64_t deadline_ms = 0;
    int r;
    do {
        r = adaptive_look(job->store, limits, e);
        if (r == 0)
            r = read_demands(job->store, collections, demands, e);
    } while (job_ask_again(job, r, &deadline_ms));
    return r;
}

static int divide_and_restore(struct job *job, const struct warmup_options *options, struct warmup_demand *demands,
                              int64_t *places, size_t len, struct error *e)
{
    struct adaptive_limits limits = {0};
    int r = look(job, options->collections, &limits, demands, e);
    if (r < 0)
        return r;
    warmup_divide(demands, len, options->most && options->most < limits.items ? options->most : limits.items, places);
    /* Why it stopped, if it did, is told already. */
    (void)!restore_run(job, &(struct restore_options){.collections = options->collections, .places = places});
    return 0;
}

int warmup_run(struct job *job, const struct warmup_options *options)
{
    size_t len = count(options->collections);
    struct warmup_demand *demands = calloc(len + 1, sizeof *demands);
    int64_t *places = calloc(len + 1, sizeof *places);
    struct error why;
    int r = demands && places ? divide_and_restore(job, options, demands, places, len, &why)
                              : error_set(&why, -ENOMEM, "out of memory");
    if (r < 0) {
        job_fail(job, &why);
        job_record(job);
    }
    free(demands);
    free(places);
    return job->failure.code;
}
