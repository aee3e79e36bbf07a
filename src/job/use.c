#include "job/use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/db.h"
#include "config/config.h"
#include "fs/atime.h"
#include "fs/walk.h"
#include "sql.h"
#include "store/folders.h"

#define BATCH     1000
#define TIMES_MAX (BATCH * 16)
#define PATHS_MAX ((size_t)BATCH * (SAFEPATH_MAX + 4))
#define DAY_US    INT64_C(86400000000)

/* Walking a collection's folder. */
struct uses {
    struct store *store;
    const struct use_options *options;
    const char *collection;
    struct db_array paths, times;
    struct use_noted *noted;
    struct error *e;
};

static int send_batch(struct uses *u, struct db_array *paths, struct db_array *times)
{
    struct db_conn *conn;
    struct db_result *rows;
    struct db_params params;
    int r = db_get(store_pool(u->store), &conn, u->e);
    if (r < 0)
        return r;
    db_params_init(&params);
    db_param_text(&params, u->collection);
    db_param_array(&params, paths);
    db_param_array(&params, times);
    r = db_query(conn, &sql_use_note, &params, &rows, u->e);
    db_put(conn);
    if (r < 0)
        return r;
    u->noted->used += db_int(rows, 0, 0);
    u->noted->returned += db_int(rows, 0, 1);
    db_result_free(rows);
    return 0;
}

/* A path that the database's encoding can't hold is no row's: such a batch is sent again file by file. */
static int send_one_by_one(struct uses *u)
{
    struct db_array one_path, one_time;
    int r = 0;
    db_array_init(&one_path, DB_TEXT, SAFEPATH_MAX + 8);
    db_array_init(&one_time, DB_TIMESTAMPTZ, 64);
    for (int i = 0; r == 0 && i < u->paths.count; i++) {
        db_array_reset(&one_path);
        db_array_reset(&one_time);
        r = db_array_copy(&one_path, &u->paths, i);
        if (r == 0)
            r = db_array_copy(&one_time, &u->times, i);
        r = r < 0 ? error_set(u->e, r, "out of memory") : send_batch(u, &one_path, &one_time);
        if (r == -EILSEQ)
            r = 0;
    }
    db_array_release(&one_path);
    db_array_release(&one_time);
    return r;
}

static int flush(struct uses *u)
{
    if (!u->paths.count)
        return 0;
    int r = send_batch(u, &u->paths, &u->times);
    if (r == -EILSEQ)
        r = send_one_by_one(u);
    db_array_reset(&u->paths);
    db_array_reset(&u->times);
    if (u->options->progress)
        u->options->progress(u->options->arg);
    return r;
}

static int visit(void *arg, const struct walk_entry *entry)
{
    struct uses *u = arg;
    if (u->options->stopped && atomic_load(u->options->stopped))
        return error_set(u->e, -ECANCELED, "was asked to stop");
    if (!clock_left_ms(u->options->deadline_ms))
        return error_set(u->e, -ETIMEDOUT, "no time was left to note uses of files");
    if (entry->kind != WALK_FILE && entry->kind != WALK_LINKED_FILE)
        return 0;
    u->noted->files++;
    int64_t accessed_us = clock_ns(entry->st.st_atim) / 1000;
    if (accessed_us < u->options->since_us - DAY_US)
        return 0;
    int r = db_array_add_text(&u->paths, entry->path);
    if (r == 0)
        r = db_array_add_time(&u->times, accessed_us);
    if (r < 0)
        return error_set(u->e, r, "out of memory");
    return u->paths.count == BATCH ? flush(u) : 0;
}

static int note_collection(struct uses *u, int root)
{
    int r = walk_tree(root, visit, u, u->e);
    return r < 0 ? r : flush(u);
}

/* Sets *ret to the descriptor of its folder, -1 when there is none here. */
static int check_folder(struct store *store, const struct config_collection *c, int *ret, struct error *e)
{
    struct staging *staging;
    *ret = -1;
    int r = store_folder(store, c->name, STORE_FOLDER_EXISTING, ret, e);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = store_staging(store, c->name, &staging, e);
    return r < 0 ? r : atime_check(staging, c->root, e);
}

int use_note(struct store *store, const struct use_options *options, struct use_noted *ret, struct error *e)
{
    const struct config *config = store_config(store);
    struct uses u = {.store = store, .options = options, .noted = ret, .e = e};
    *ret = (struct use_noted){0};
    int *roots = calloc(config->collections_len, sizeof *roots);
    if (!roots)
        return error_set(e, -ENOMEM, "out of memory");
    db_array_init(&u.paths, DB_TEXT, PATHS_MAX);
    db_array_init(&u.times, DB_TIMESTAMPTZ, TIMES_MAX);
    int r = 0;
    for (size_t i = 0; r == 0 && i < config->collections_len; i++)
        r = check_folder(store, &config->collections[i], &roots[i], e);
    for (size_t i = 0; r == 0 && i < config->collections_len; i++) {
        u.collection = config->collections[i].name;
        r = roots[i] < 0 ? 0 : note_collection(&u, roots[i]);
    }
    db_array_release(&u.paths);
    db_array_release(&u.times);
    free(roots);
    return r;
}
