#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "client/db_fault.h"
#include "client/db_grants.h"
#include "migrations.h"
#include "sql.h"
#include "store/store_tiers.h"
#include "tier/tier_redis.h"

/* The size of a locked table can't be asked for, and whoever asks shall hear of the lock. */
#define LOCK_MS 1000

static void copy(char *dst, size_t size, const char *text)
{
    snprintf(dst, size, "%.*s", (int)size - 1, text ? text : "");
}

/* `versions` (NULL: none) are separated by spaces. */
static void read_schema(struct store_status *status, const char *versions)
{
    char word[DB_VERSION_SIZE];
    int n;
    status->migration_known = migrations[MIGRATIONS - 1].version;
    status->schema = status->migration > status->migration_known   ? STORE_SCHEMA_NEWER
                     : status->migration < status->migration_known ? STORE_SCHEMA_OLDER
                                                                   : STORE_SCHEMA_CURRENT;
    for (const char *at = versions; at && sscanf(at, "%63s%n", word, &n) == 1; at += n)
        if (db_version_forbids(word, NULL) < 0)
            status->schema = STORE_SCHEMA_FORBIDS;
}

static void name_missing_grants(struct store *store, struct error *e)
{
    struct db_conn *conn;
    error_set(e, DB_NO_PRIVILEGE, "%s", db_sqlstate_find("42501")->advice);
    if (db_get(store->pool, &conn, NULL) < 0)
        return;
    (void)db_name_grants(conn, DB_NO_PRIVILEGE, e);
    db_put(conn);
}

static int read_server(struct store *store, struct store_status *status, struct error *e)
{
    struct db_result *rows;
    int r = store_query_within(store, &sql_status_server, NULL, LOCK_MS, &rows, e);
    if (r < 0)
        return r;
    copy(status->server_version, sizeof status->server_version, db_text(rows, 0, 0));
    status->stored_bytes = db_int(rows, 0, 1);
    status->migration = db_int(rows, 0, 2);
    status->listeners = db_int(rows, 0, 3);
    read_schema(status, db_text(rows, 0, 4));
    if (db_int(rows, 0, 5))
        error_set(&status->writing, DB_READ_ONLY, "%s", db_sqlstate_find("25006")->advice);
    else if (!db_int(rows, 0, 6))
        name_missing_grants(store, &status->writing);
    db_result_free(rows);
    return 0;
}

static int read_counts(struct store *store, struct store_status *status, struct error *e)
{
    struct db_result *rows;
    int r = store_query_within(store, &sql_status_counts, NULL, LOCK_MS, &rows, e);
    if (r < 0)
        return r;
    for (int i = 0; i < db_rows(rows) && i < STORE_STATUS_COLLECTIONS; i++) {
        struct store_status_collection *c = &status->collections[status->collections_len++];
        copy(c->name, sizeof c->name, db_text(rows, i, 0));
        c->images = db_int(rows, i, 1);
        c->bytes = db_int(rows, i, 2);
        c->linked_images = db_int(rows, i, 3);
        c->linked_bytes = db_int(rows, i, 4);
        c->trash_images = db_int(rows, i, 5);
        c->trash_bytes = db_int(rows, i, 6);
    }
    db_result_free(rows);
    return 0;
}

static int read_jobs(struct store *store, struct store_status *status, struct error *e)
{
    struct db_result *rows;
    int r = store_query_within(store, &sql_job_recent, NULL, LOCK_MS, &rows, e);
    if (r < 0)
        return r;
    for (int i = 0; i < db_rows(rows) && i < STORE_STATUS_JOBS; i++) {
        struct store_status_job *job = &status->jobs[status->jobs_len++];
        copy(job->kind, sizeof job->kind, db_text(rows, i, 0));
        copy(job->state, sizeof job->state, db_text(rows, i, 1));
        copy(job->host, sizeof job->host, db_text(rows, i, 2));
        job->started_us = db_time(rows, i, 3);
        job->finished_us = db_time(rows, i, 4);
        copy(job->result, sizeof job->result, db_text(rows, i, 5));
    }
    db_result_free(rows);
    return 0;
}

int store_status(struct store *store, struct store_status *ret, struct error *e)
{
    *ret = (struct store_status){0};
    int r = read_server(store, ret, e);
    if (r == 0)
        r = read_counts(store, ret, e);
    if (r == 0)
        r = read_jobs(store, ret, e);
    return r;
}

int store_record_job(struct store *store, const char *kind, const char *state, int64_t started_us, const char *result)
{
    char host[256] = "";
    struct db_params params;
    gethostname(host, sizeof host - 1);
    db_params_init(&params);
    db_param_text(&params, kind);
    db_param_text(&params, state);
    db_param_text(&params, host);
    db_param_time(&params, started_us);
    db_param_text(&params, result);
    return store_query(store, &sql_job_record, &params, NULL, NULL);
}

void store_redis_status(struct store *store, int wait_ms, struct store_redis_status *ret)
{
    struct tier_redis_state state;
    struct error why = {0};
    *ret = (struct store_redis_status){0};
    if (!store->redis)
        return;
    int r = tier_redis_ping(store->redis, wait_ms, &why);
    tier_redis_state(store->redis, &state);
    ret->configured = 1;
    ret->up = (r == 0 || r == -EAGAIN) && !state.owed && !state.owes_all;
    ret->connections = state.client.connections;
    ret->connections_in_use = state.client.in_use;
    ret->errors = state.client.errors;
    ret->owed = state.owed;
    ret->ttl_s = state.ttl_s;
    copy(ret->server, sizeof ret->server, state.client.server);
    ret->state = !ret->up                             ? "down"
                 : state.writes == TIER_REDIS_ACCEPTS ? "up"
                 : state.writes == TIER_REDIS_IS_FULL ? "full"
                                                      : "refuses writes";
    copy(ret->why, sizeof ret->why, ret->up ? state.refusal : r < 0 ? why.text : "it holds what was to be dropped");
}

void store_redis_ttl(struct store *store, int seconds)
{
    if (store->redis)
        tier_redis_set_ttl(store->redis, seconds);
}
