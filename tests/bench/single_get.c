/* Reads every stored image once, in random order, over as many threads as asked for: query, decode, verify, no disk.
 * Prints one JSON line like yardstick's.
 *
 *     single_get [-c CONNECTIONS] [URL]      settings from the environment, the URL over DATABASE_URL */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/config.h"
#include "sql.h"
#include "store/store.h"
#include "tier/tier_db.h"

struct bench {
    struct store *store;
    struct image_key *keys;
    size_t count;
    atomic_size_t next;
    atomic_llong bytes;
    pthread_barrier_t connected;
};

static _Noreturn void die(const char *what, const struct error *e)
{
    fprintf(stderr, "single_get: %s: %s\n", what, e->text);
    exit(1);
}

static void collect_keys(struct bench *b)
{
    struct store_page *page;
    struct error e;
    int64_t after = 0;
    do {
        if (store_list_by_id(b->store, after, 1000, &page, &e) < 0)
            die("list", &e);
        for (int i = 0; i < store_page_count(page); i++) {
            struct image_meta meta;
            store_page_meta(page, i, &meta);
            if (b->count % 1000 == 0)
                b->keys = realloc(b->keys, (b->count + 1000) * sizeof *b->keys);
            b->keys[b->count++] = (struct image_key){strdup(meta.key.collection), strdup(meta.key.path)};
            after = meta.id;
        }
        if (!store_page_count(page))
            after = -1;
        store_page_free(page);
    } while (after >= 0);
    srandom(1);
    for (size_t i = b->count; i > 1; i--) {
        size_t j = (size_t)random() % i;
        struct image_key key = b->keys[i - 1];
        b->keys[i - 1] = b->keys[j];
        b->keys[j] = key;
    }
}

/* The query is prepared before the clock starts, as yardstick's is. */
static void warm_up(struct bench *b, struct db_conn *conn)
{
    struct db_params params;
    struct error e;
    db_params_init(&params);
    db_param_text(&params, b->keys[0].collection);
    db_param_text(&params, b->keys[0].path);
    if (db_query(conn, &sql_image_get, &params, NULL, &e) < 0)
        die("warm up", &e);
}

static void *run(void *arg)
{
    struct bench *b = arg;
    struct tier_db *db = store_db(b->store);
    struct db_conn *conn;
    struct error e;
    size_t i;
    if (db_get(tier_db_pool(db), &conn, &e) < 0)
        die("connect", &e);
    warm_up(b, conn);
    pthread_barrier_wait(&b->connected); /* all have one of their own before the first is put back */
    db_put(conn);
    pthread_barrier_wait(&b->connected);
    while ((i = atomic_fetch_add(&b->next, 1)) < b->count) {
        struct image *image;
        if (tier_db_ops.read(db, &b->keys[i], &image, &e) < 0)
            die(b->keys[i].path, &e);
        atomic_fetch_add(&b->bytes, image->meta.size);
        image_unref(image);
    }
    return NULL;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct config config;
    struct error e;
    int threads = 1, option;
    while ((option = getopt(argc, argv, "c:")) == 'c')
        threads = (int)strtol(optarg, NULL, 10);
    char pool[16];
    snprintf(pool, sizeof pool, "%d", threads < 2 ? 2 : threads);
    const struct config_flag flags[] = {{"db-pool", pool}, {optind < argc ? "database-url" : NULL, argv[optind]}, {0}};
    if (config_load(&config, flags, environ, NULL, &e) < 0 || store_open(&b.store, &config, &e) < 0)
        die("settings", &e);
    collect_keys(&b);

    pthread_t ids[100];
    struct rusage before, after;
    pthread_barrier_init(&b.connected, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, run, &b);
    pthread_barrier_wait(&b.connected);
    getrusage(RUSAGE_SELF, &before);
    int64_t start_ms = clock_monotonic_ms();
    pthread_barrier_wait(&b.connected);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double wall = (double)(clock_monotonic_ms() - start_ms) / 1000;
    getrusage(RUSAGE_SELF, &after);
    printf("{\"images\": %zu, \"bytes\": %lld, \"seconds\": %.3f, \"images_per_s\": %.1f, \"cpu_user\": %.3f, "
           "\"cpu_sys\": %.3f, \"maxrss\": %ld}\n",
           b.count, (long long)b.bytes, wall, (double)b.count / wall,
           seconds(after.ru_utime) - seconds(before.ru_utime), seconds(after.ru_stime) - seconds(before.ru_stime),
           after.ru_maxrss);
    store_close(b.store);
    config_release(&config);
    for (size_t i = 0; i < b.count; i++) {
        free((char *)b.keys[i].collection);
        free((char *)b.keys[i].path);
    }
    free(b.keys);
    return 0;
}
