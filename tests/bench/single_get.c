/* Reads every stored image once, in random order, over CONNECTIONS connections: query and decode, no disk. WAITING
 * reads at a time share a connection (1: each read waits for the one before). Prints one JSON line like yardstick's.
 *
 *     single_get [-c CONNECTIONS] [-w WAITING] [URL]      settings from the environment, the URL over DATABASE_URL */
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
#include "store/store_tiers.h"
#include "tier/tier_db.h"

#define CONNECTIONS_MAX 64
#define WAITING_MAX     64

struct bench {
    struct store *store;
    struct image_key *keys;
    size_t count;
    atomic_size_t next;
    atomic_llong bytes;
    size_t waiting;              /* reads that wait together */
    pthread_barrier_t connected; /* all threads hold a connection */
    pthread_barrier_t ready;
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

static void got(void *arg, void *key, struct image *image, const struct error *why)
{
    struct bench *b = arg;
    (void)key;
    if (!image)
        die("read", why);
    atomic_fetch_add(&b->bytes, image->meta.size);
    image_unref(image);
}

static void hold(void *arg, void *key, struct image *image, const struct error *why)
{
    struct bench *b = arg;
    (void)key;
    if (!image)
        die("read", why);
    image_unref(image);
    pthread_barrier_wait(&b->connected);
}

static void *run(void *arg)
{
    struct bench *b = arg;
    void *waiting[WAITING_MAX] = {&b->keys[0]};
    size_t first;
    /* The query is prepared before the clock starts, as yardstick's is; and all are connected before one is done. */
    tier_db_read(b->store->db, waiting, 1, hold, b);
    pthread_barrier_wait(&b->ready);
    while ((first = atomic_fetch_add(&b->next, b->waiting)) < b->count) {
        size_t n = b->count - first < b->waiting ? b->count - first : b->waiting;
        for (size_t i = 0; i < n; i++)
            waiting[i] = &b->keys[first + i];
        tier_db_read(b->store->db, waiting, (int)n, got, b);
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
    int connections = 1, option;
    b.waiting = 1;
    while ((option = getopt(argc, argv, "c:w:")) != -1) {
        if (option == 'c')
            connections = (int)strtol(optarg, NULL, 10);
        else if (option == 'w')
            b.waiting = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (connections < 1 || connections > CONNECTIONS_MAX || b.waiting < 1 || b.waiting > WAITING_MAX)
        return 2;
    char pool[16];
    snprintf(pool, sizeof pool, "%d", connections < 2 ? 2 : connections);
    const struct config_flag flags[] = {{"db-pool", pool}, {optind < argc ? "database-url" : NULL, argv[optind]}, {0}};
    if (config_load(&config, flags, environ, NULL, &e) < 0 || store_open(&b.store, &config, &e) < 0)
        die("settings", &e);
    collect_keys(&b);

    pthread_t ids[CONNECTIONS_MAX];
    struct rusage before, after;
    pthread_barrier_init(&b.connected, NULL, (unsigned)connections);
    pthread_barrier_init(&b.ready, NULL, (unsigned)connections + 1);
    for (int i = 0; i < connections; i++)
        pthread_create(&ids[i], NULL, run, &b);
    getrusage(RUSAGE_SELF, &before);
    int64_t start_ms = clock_monotonic_ms();
    pthread_barrier_wait(&b.ready);
    for (int i = 0; i < connections; i++)
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
