#include "cli/startup_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/describe.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "config/conninfo.h"
#include "fs/walk.h"
#include "migrate/migrate.h"
#include "store/folders.h"

#define COUNT_MS      50   /* for the files of all folders */
#define REDIS_MS      1000 /* for its first answer: a connection, and the lookup of its name */
#define URL_MAX_BYTES 4096

struct startup_log {
    struct store *store;
    size_t created_len;
    const struct config_collection *created[]; /* folders that did not exist */
};

struct count {
    int64_t files, bytes, deadline_ms;
};

static int count_file(void *arg, const struct walk_entry *entry)
{
    struct count *c = arg;
    if (entry->kind == WALK_FILE) {
        c->files++;
        c->bytes += entry->st.st_size;
    }
    return clock_monotonic_ms() >= c->deadline_ms ? -ECANCELED : 0;
}

static void log_folder(struct startup_log *l, const struct config_collection *collection, int64_t deadline_ms)
{
    struct count c = {.deadline_ms = deadline_ms};
    struct error why = {0};
    struct stat st;
    int root;
    int created = stat(collection->root, &st) < 0 && errno == ENOENT;
    int r = store_folder(l->store, collection->name, STORE_FOLDER_MAKE, &root, &why);
    int counted = r < 0 ? r : walk_tree(root, count_file, &c, &why);
    if (counted < 0 && counted != -ECANCELED) {
        log_event(LOG_WARN, "folder", LOG_STR("collection", collection->name), LOG_STR("path", collection->root),
                  LOG_STR("state", "failed"), LOG_STR("error", why.text));
        return;
    }
    if (created)
        l->created[l->created_len++] = collection;
    log_event(LOG_INFO, "folder", LOG_STR("collection", collection->name), LOG_STR("path", collection->root),
              LOG_STR("state", created   ? "created"
                               : c.files ? "in use"
                                         : "empty"),
              LOG_INT("files", c.files), LOG_INT("bytes", c.bytes), LOG_STR("counted", counted < 0 ? "partly" : "all"));
}

static void log_database(const struct config *config)
{
    struct buf url;
    buf_init(&url, URL_MAX_BYTES);
    if (conninfo_mask(config->database_url, &url) == 0)
        log_event(LOG_INFO, "database", LOG_STR("url", url.data));
    buf_release(&url);
}

static void log_redis(const struct config *config)
{
    char host[REDIS_URL_HOST_SIZE];
    if (config->redis.hosts_len)
        log_event(LOG_INFO, "redis", LOG_STR("server", redis_url_host_text(&config->redis.hosts[0], host)));
    else
        log_event(LOG_INFO, "redis", LOG_STR("server", "off"));
}

struct startup_log *startup_log_begin(struct store *store)
{
    const struct config *config = store_config(store);
    struct startup_log *l = calloc(1, sizeof *l + config->collections_len * sizeof l->created[0]);
    if (!l)
        return NULL;
    l->store = store;
    log_event(LOG_INFO, "perdura", LOG_STR("version", PERDURA_VERSION));
    int64_t deadline_ms = clock_monotonic_ms() + COUNT_MS;
    for (size_t i = 0; i < config->collections_len; i++)
        log_folder(l, &config->collections[i], deadline_ms);
    log_database(config);
    log_redis(config);
    return l;
}

struct migrations {
    int64_t applied, known;
};

static void count_migration(void *arg, const struct migrate_entry *entry)
{
    struct migrations *m = arg;
    m->applied += entry->state != MIGRATE_PENDING;
    m->known += entry->state != MIGRATE_UNKNOWN;
}

static void warn_of_created(const struct startup_log *l)
{
    for (size_t i = 0; i < l->created_len; i++) {
        int media = strcmp(l->created[i]->name, "media") == 0;
        log_event(LOG_WARN, "folder created, and nothing is stored yet", LOG_STR("path", l->created[i]->root),
                  LOG_STR("advice", media
                                        ? "if the app writes elsewhere, correct the spelling of PERDURA_MEDIA_ROOT"
                                        : "if the app writes elsewhere, correct the spelling in PERDURA_COLLECTIONS"));
    }
}

/* One that is not reached has its line from the store, with the reason: the circuit breaker opens. */
static void log_redis_state(struct store *store)
{
    struct store_redis_status redis;
    store_redis_status(store, REDIS_MS, &redis);
    if (redis.configured && redis.up)
        log_event(LOG_INFO, "redis reached", LOG_STR("server", redis.server));
}

void startup_log_services(struct startup_log *l)
{
    struct store_status status;
    struct migrations m = {0};
    struct error why;
    if (!l)
        return;
    if (migrate_status(store_pool(l->store), count_migration, &m, &why) == 0 &&
        store_status(l->store, &status, &why) == 0) {
        struct store_status_collection sum = describe_total(&status);
        log_event(LOG_INFO, "database connected", LOG_STR("server", status.server_version),
                  LOG_INT("migrations", m.applied), LOG_INT("of", m.known), LOG_INT("images", sum.images),
                  LOG_INT("bytes", sum.bytes), LOG_INT("trash_images", sum.trash_images));
        if (!sum.images && !sum.trash_images)
            warn_of_created(l);
    }
    log_redis_state(l->store);
}

void startup_log_free(struct startup_log *l)
{
    free(l);
}
