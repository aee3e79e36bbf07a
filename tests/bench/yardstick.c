/* What PostgreSQL and libpq can do at best: bare libpq, none of our own code. `make bench` measures us against it.
 *
 *   yardstick insert [-c N] [-n IMAGES] [-s BYTES] [-k ROWS] URL
 *       IMAGES rows of BYTES each into a new table `yard` with image_cache's columns, checks and indexes but without
 *       its triggers. Pipeline mode, prepared statement, binary parameters, ROWS a transaction; the next transaction
 *       is sent before the answer to the last one is read. The base64 text is in memory before the clock starts.
 *   yardstick copy [-c N] URL
 *       COPY (SELECT image_data, original_path FROM image_cache) TO STDOUT, discarded.
 *   yardstick select [-c N] [-n IMAGES] URL
 *       One prepared SELECT by key after another on each connection, random order, binary results.
 *
 * -c connections, one thread each. Prints one line of JSON; `bytes` are the images' own, not their base64.
 * Any failure ends the program with 1 and a line on stderr. */
#include <errno.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define TOOL "yardstick"
#include "tool.h"

#define CONNECTIONS_MAX 64

/* Payloads are taken in turns from this much memory: larger than the CPU's caches, as real images are. */
#define POOL_BYTES (64L << 20)

struct options {
    const char *url;
    long connections;
    long images; /* 0: as many as there are rows */
    long bytes;
    long rows_per_transaction;
};

struct pool {
    char *text; /* `count` payloads of `length` characters, one behind the other */
    size_t length;
    size_t count;
};

struct keys {
    PGresult *rows; /* collection, original_path; in binary */
    int *order;
    int count;
};

struct task {
    pthread_t thread;
    PGconn *conn;
    const struct options *options;
    long number; /* 0 ... connections - 1 */
    const struct pool *pool;
    const struct keys *keys;
    atomic_long *next; /* shared by the tasks */
    long images;       /* done */
    int64_t bytes;     /* done */
};

typedef void *task_fn(void *task);

/* xorshift64: a fixed seed, so that every run does the same. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK)
        die("%s", PQerrorMessage(conn));
    return conn;
}

static PGresult *expect(PGconn *conn, PGresult *result, ExecStatusType status)
{
    if (PQresultStatus(result) != status)
        die("%s", PQerrorMessage(conn));
    return result;
}

static void run(PGconn *conn, const char *sql)
{
    PQclear(expect(conn, PQexec(conn, sql), PGRES_COMMAND_OK));
}

static void prepare(PGconn *conn, const char *sql)
{
    PQclear(expect(conn, PQprepare(conn, "", sql, 0, NULL), PGRES_COMMAND_OK));
}

static double seconds_of(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* Runs the tasks side by side and prints what they did. They are connected and prepared already: the clock counts
 * work only. */
static void measure(const char *name, struct task *tasks, long count, task_fn *fn)
{
    struct rusage before, after;
    long images = 0;
    int64_t bytes = 0;

    getrusage(RUSAGE_SELF, &before);
    double start = now();
    for (long i = 0; i < count; i++)
        if (pthread_create(&tasks[i].thread, NULL, fn, &tasks[i]) != 0)
            die("cannot start a thread");
    for (long i = 0; i < count; i++) {
        pthread_join(tasks[i].thread, NULL);
        images += tasks[i].images;
        bytes += tasks[i].bytes;
    }
    double seconds = now() - start;
    getrusage(RUSAGE_SELF, &after);
    printf("{\"work\":\"%s\",\"connections\":%ld,\"images\":%ld,\"bytes\":%lld,\"seconds\":%.6f,"
           "\"images_per_s\":%.1f,\"cpu_user\":%.3f,\"cpu_sys\":%.3f,\"maxrss\":%ld}\n",
           name, count, images, (long long)bytes, seconds, (double)images / seconds,
           seconds_of(after.ru_utime) - seconds_of(before.ru_utime),
           seconds_of(after.ru_stime) - seconds_of(before.ru_stime), after.ru_maxrss * 1024);
}

/* Length in bytes of what `length` characters of base64 stand for. */
static int64_t decoded_length(const char *text, int64_t length)
{
    if (length < 4)
        return 0;
    return length / 4 * 3 - (text[length - 1] == '=') - (text[length - 2] == '=');
}

/* insert */

static void pool_fill(struct pool *pool, const struct options *o)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t random = 88172645463325252U;

    pool->length = (size_t)(o->bytes + 2) / 3 * 4;
    pool->count = (size_t)POOL_BYTES / pool->length + 1;
    if (pool->count > (size_t)o->images)
        pool->count = (size_t)o->images;
    pool->text = allocate(pool->count, pool->length);
    for (size_t i = 0; i < pool->count; i++) {
        char *text = pool->text + i * pool->length;
        for (size_t j = 0; j < pool->length; j++)
            text[j] = alphabet[random_next(&random) >> 58];
        for (long pad = (3 - o->bytes % 3) % 3; pad > 0; pad--)
            text[pool->length - (size_t)pad] = '=';
    }
}

/* Reads results up to and including the next sync. */
static void finish_transaction(PGconn *conn)
{
    for (;;) {
        PGresult *result = PQgetResult(conn);
        if (!result) /* stands between the results of two statements */
            continue;
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC)
            return;
        if (status != PGRES_COMMAND_OK)
            die("%s", PQerrorMessage(conn));
    }
}

static void send_row(struct task *t, long row)
{
    enum { PATH, DATA, SIZE, SHA256, COLUMNS };
    char path[64];
    int path_length = snprintf(path, sizeof(path), "uploads/%03ld/%08ld.jpg", row % 1000, row);
    int64_t size = (int64_t)htobe64((uint64_t)t->options->bytes);
    uint64_t sha256[4] = {(uint64_t)row, 1, 2, 3};
    const char *values[COLUMNS] = {
        [PATH] = path,
        [DATA] = t->pool->text + (size_t)row % t->pool->count * t->pool->length,
        [SIZE] = (const char *)&size,
        [SHA256] = (const char *)sha256,
    };
    const int lengths[COLUMNS] = {path_length, (int)t->pool->length, sizeof(size), sizeof(sha256)};
    const int formats[COLUMNS] = {1, 1, 1, 1};

    if (!PQsendQueryPrepared(t->conn, "", COLUMNS, values, lengths, formats, 0))
        die("%s", PQerrorMessage(t->conn));
}

static void *insert_task(void *arg)
{
    struct task *t = arg;
    const struct options *o = t->options;
    long unanswered = 0;

    for (;;) {
        long first = atomic_fetch_add(t->next, o->rows_per_transaction);
        long end = first + o->rows_per_transaction < o->images ? first + o->rows_per_transaction : o->images;
        if (first >= o->images)
            break;
        for (long row = first; row < end; row++)
            send_row(t, row);
        if (!PQpipelineSync(t->conn))
            die("%s", PQerrorMessage(t->conn));
        if (unanswered++ > 0) {
            finish_transaction(t->conn);
            unanswered--;
        }
        t->images += end - first;
        t->bytes += (end - first) * o->bytes;
    }
    if (unanswered > 0)
        finish_transaction(t->conn);
    return NULL;
}

static void insert(const struct options *o, struct task *tasks)
{
    struct pool pool;
    pool_fill(&pool, o);

    run(tasks[0].conn, "SET client_min_messages = warning");
    run(tasks[0].conn, "DROP TABLE IF EXISTS yard");
    run(tasks[0].conn, "CREATE TABLE yard (LIKE image_cache INCLUDING ALL)");
    for (long i = 0; i < o->connections; i++) {
        tasks[i].pool = &pool;
        prepare(tasks[i].conn, "INSERT INTO yard (collection, original_path, image_data, file_size, "
                               "content_type_header, sha256, encoding, width, height, source_mtime) "
                               "VALUES ('media', $1, $2, $3, 'image/jpeg', $4, 'base64', 640, 480, now())");
        if (!PQenterPipelineMode(tasks[i].conn))
            die("%s", PQerrorMessage(tasks[i].conn));
    }
    measure("insert", tasks, o->connections, insert_task);
    free(pool.text);
}

/* copy */

static void *copy_task(void *arg)
{
    struct task *t = arg;
    char sql[200] = "COPY (SELECT image_data, original_path FROM image_cache) TO STDOUT";
    char *line;
    int length;

    if (t->options->connections > 1)
        (void)snprintf(sql, sizeof(sql),
                       "COPY (SELECT image_data, original_path FROM image_cache WHERE mod(id, %ld) = %ld) TO STDOUT",
                       t->options->connections, t->number);
    PQclear(expect(t->conn, PQexec(t->conn, sql), PGRES_COPY_OUT));
    while ((length = PQgetCopyData(t->conn, &line, 0)) > 0) {
        const char *tab = memrchr(line, '\t', (size_t)length);
        t->images++;
        t->bytes += decoded_length(line, tab ? tab - line : 0);
        PQfreemem(line);
    }
    if (length != -1)
        die("%s", PQerrorMessage(t->conn));
    PQclear(expect(t->conn, PQgetResult(t->conn), PGRES_COMMAND_OK));
    return NULL;
}

/* select */

static void keys_load(struct keys *keys, PGconn *conn)
{
    uint64_t random = 88172645463325252U;
    PGresult *rows =
        PQexecParams(conn, "SELECT collection, original_path FROM image_cache", 0, NULL, NULL, NULL, NULL, 1);

    keys->rows = expect(conn, rows, PGRES_TUPLES_OK);
    keys->count = PQntuples(rows);
    if (keys->count == 0)
        die("image_cache is empty");
    keys->order = allocate((size_t)keys->count, sizeof(*keys->order));
    for (int i = 0; i < keys->count; i++) { /* Fisher and Yates' shuffle, inside out */
        int j = (int)(random_next(&random) % (uint64_t)(i + 1));
        keys->order[i] = keys->order[j];
        keys->order[j] = i;
    }
}

static void *select_task(void *arg)
{
    struct task *t = arg;
    const struct keys *keys = t->keys;
    const int formats[] = {1, 1};
    long turn;

    while ((turn = atomic_fetch_add(t->next, 1)) < t->options->images) {
        int key = keys->order[turn % keys->count];
        const char *values[] = {PQgetvalue(keys->rows, key, 0), PQgetvalue(keys->rows, key, 1)};
        const int lengths[] = {PQgetlength(keys->rows, key, 0), PQgetlength(keys->rows, key, 1)};
        PGresult *row = expect(t->conn, PQexecPrepared(t->conn, "", 2, values, lengths, formats, 1), PGRES_TUPLES_OK);
        if (PQntuples(row) != 1)
            die("an image vanished");
        t->images++;
        t->bytes += decoded_length(PQgetvalue(row, 0, 0), PQgetlength(row, 0, 0));
        PQclear(row);
    }
    return NULL;
}

static void select_all(struct options *o, struct task *tasks)
{
    struct keys keys;
    keys_load(&keys, tasks[0].conn);
    if (o->images == 0)
        o->images = keys.count;
    for (long i = 0; i < o->connections; i++) {
        tasks[i].keys = &keys;
        prepare(tasks[i].conn, "SELECT image_data, sha256, content_type_header FROM image_cache "
                               "WHERE collection = $1 AND original_path = $2");
    }
    measure("select", tasks, o->connections, select_task);
    PQclear(keys.rows);
    free(keys.order);
}

int main(int argc, char **argv)
{
    struct options o = {.connections = 1, .bytes = 20000, .rows_per_transaction = 64};
    struct task tasks[CONNECTIONS_MAX] = {0};
    atomic_long next = 0;
    int option;

    while ((option = getopt(argc, argv, "c:n:s:k:")) != -1) {
        switch (option) {
        case 'c':
            o.connections = number(optarg, 1, CONNECTIONS_MAX);
            break;
        case 'n':
            o.images = number(optarg, 1, 100000000);
            break;
        case 's':
            o.bytes = number(optarg, 1, 500L << 20);
            break;
        case 'k':
            o.rows_per_transaction = number(optarg, 1, 100000);
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 2)
        die("usage: yardstick insert|copy|select [-c N] [-n IMAGES] [-s BYTES] [-k ROWS] URL");
    const char *work = argv[optind];
    o.url = argv[optind + 1];

    for (long i = 0; i < o.connections; i++)
        tasks[i] = (struct task){.conn = connect_to(o.url), .options = &o, .number = i, .next = &next};
    if (!strcmp(work, "insert")) {
        if (o.images == 0)
            o.images = 1000;
        insert(&o, tasks);
    } else if (!strcmp(work, "copy")) {
        measure("copy", tasks, o.connections, copy_task);
    } else if (!strcmp(work, "select")) {
        select_all(&o, tasks);
    } else {
        die("%s: insert, copy or select is wanted", work);
    }
    for (long i = 0; i < o.connections; i++)
        PQfinish(tasks[i].conn);
    return 0;
}
