#include "dev/story.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "config/config.h"
#include "dev/media_snapshot.h"
#include "dev/sample_images.h"
#include "fs/remove_tree.h"
#include "job/cache_all.h"
#include "job/check.h"
#include "job/fsck.h"
#include "job/restore.h"
#include "migrate/migrate.h"

#define PATIENCE_MS 60000 /* with another program that migrates the same database */

struct story {
    struct dev_folder *folder;
    const struct private_postgres *pg;
    const struct private_redis *redis;
    const struct config *config;
    const char *shown;
    struct store *store; /* opened anew after the wipe, as a deploy starts a new process */
    struct media_snapshot *before;
    int count; /* of images */
};

static const char *const collections[] = {"media", NULL};

int dev_story_config(struct config *ret, const struct private_postgres *pg, const struct private_redis *redis,
                     const char *media, struct error *e)
{
    uint64_t random[2];
    char token[33];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(e, -errno, "no random numbers for a token: %s", strerror(errno));
    (void)snprintf(token, sizeof token, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    const struct config_flag flags[] = {{"database-url", pg->url},
                                        {"media-root", media},
                                        {"port", "0"},
                                        {"api-token", token},
                                        {*redis->url ? "redis-url" : NULL, redis->url},
                                        {NULL, NULL}};
    return config_load(ret, flags, NULL, NULL, e);
}

static void count_migration(void *arg, const struct migrate_entry *entry)
{
    (void)entry;
    ++*(int *)arg;
}

int dev_story_migrate(const struct config *config, int *ret_applied, struct error *e)
{
    struct store *store;
    const struct migrate_options options = {.parts = MIGRATE_TABLES | MIGRATE_INDEXES,
                                            .deadline_ms = clock_monotonic_ms() + PATIENCE_MS};
    int applied = 0, r = store_open(&store, config, e);
    if (r < 0)
        return r;
    r = migrate_up(store_pool(store), &options, count_migration, &applied, e);
    store_close(store);
    if (r == 0)
        *ret_applied = applied;
    return r;
}

static int open_media(const struct story *s, struct error *e)
{
    int fd = openat(s->folder->fd, "media", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_set(e, -errno, "%s can't be opened: %s", s->shown, strerror(errno)) : fd;
}

/* The steps. Each prints its line; an enum cli_exit. */

static void tell_problem(void *arg, const struct image_key *key, const struct error *why)
{
    (void)arg;
    cli_fail_image(key, why);
}

/* What comes of a job: its failure, or that not all images came through. */
static int outcome(struct job *job, int64_t done, int64_t expected, const char *what)
{
    if (job->failure.code)
        return cli_fail(&job->failure);
    if (done == expected)
        return CLI_OK;
    fprintf(stderr, "perdura: %s: %d of %d\n", what, (int)done, (int)expected);
    return CLI_FAILED;
}

static int tell_server(struct story *s)
{
    printf("1. PostgreSQL %s%s up, on a unix socket only: no port, no password\n", s->pg->version,
           *s->redis->url ? " and Redis are" : " is");
    return CLI_OK;
}

static int migrate(struct story *s)
{
    struct error e;
    int applied;
    if (dev_story_migrate(s->config, &applied, &e) < 0)
        return cli_fail(&e);
    printf("2. migrate: %d migrations applied, the tables are there\n", applied);
    return CLI_OK;
}

static int write_images(struct story *s)
{
    struct error e;
    char size[OUTPUT_SIZE];
    int64_t bytes;
    int fd = open_media(s, &e);
    if (fd < 0)
        return cli_fail(&e);
    int r = sample_images_write(fd, &s->count, &bytes, &e);
    if (r == 0)
        r = media_snapshot_take(&s->before, fd, &e);
    close(fd);
    if (r < 0)
        return cli_fail(&e);
    printf("3. %d images written to %s, as an app would (%s)\n", s->count, s->shown, output_bytes(size, bytes));
    return CLI_OK;
}

static int cache(struct story *s)
{
    const struct cache_all_options options = {.collections = collections};
    struct job job;
    struct error e;
    if (!s->store && store_open(&s->store, s->config, &e) < 0)
        return cli_fail_settings(&e);
    cache_all_init(&job, s->store, tell_problem, NULL);
    int64_t started_ms = clock_monotonic_ms();
    (void)!cache_all_run(&job, &options);
    double seconds = (double)(clock_monotonic_ms() - started_ms) / 1000;
    int64_t cached = job_counted(&job, CACHE_ALL_CACHED);
    int code = outcome(&job, cached, s->count, "cache-all stored");
    if (code == CLI_OK)
        printf("4. cache-all: %d images committed to PostgreSQL in %.2f s\n", (int)cached, seconds);
    job_release(&job);
    return code;
}

static int wipe(struct story *s)
{
    struct stat st;
    store_close(s->store);
    s->store = NULL;
    int r = remove_tree(s->folder->fd, "media");
    if (r == 0 && fstatat(s->folder->fd, "media", &st, AT_SYMLINK_NOFOLLOW) == 0)
        r = -ENOTEMPTY;
    if (r < 0) {
        fprintf(stderr, "perdura: %s can't be removed: %s\n", s->shown, strerror(-r));
        return CLI_FAILED;
    }
    printf("5. rm -rf %s: a deploy wipes the disk, 0 files are left\n", s->shown);
    return CLI_OK;
}

static int restore(struct story *s)
{
    const struct restore_options options = {.collections = collections};
    struct job job;
    struct error e;
    if (!s->store && store_open(&s->store, s->config, &e) < 0)
        return cli_fail_settings(&e);
    restore_init(&job, s->store, tell_problem, NULL);
    int64_t started_ms = clock_monotonic_ms();
    (void)!restore_run(&job, &options);
    double seconds = (double)(clock_monotonic_ms() - started_ms) / 1000;
    int64_t restored = job_counted(&job, RESTORE_RESTORED);
    int code = outcome(&job, restored, s->count, "restore brought back");
    if (code == CLI_OK)
        printf("6. restore --all: %d files back in %.2f s, the most recently used first\n", (int)restored, seconds);
    job_release(&job);
    return code;
}

static int compare(struct story *s)
{
    struct error e;
    int same, different, fd = open_media(s, &e);
    if (fd < 0)
        return cli_fail(&e);
    int r = media_snapshot_compare(s->before, fd, &same, &different, &e);
    close(fd);
    if (r < 0)
        return cli_fail(&e);
    if (different || same != media_snapshot_count(s->before)) {
        fprintf(stderr, "perdura: of %d files, %d are as before; %d differ or are new\n",
                media_snapshot_count(s->before), same, different);
        return CLI_FAILED;
    }
    printf("7. compared: sha256, size and modification time of all %d files are as before\n", same);
    return CLI_OK;
}

static void tell_mark(void *arg, enum check_mark mark, const struct image_key *key, const struct error *why)
{
    (void)arg;
    if (mark != CHECK_SAME)
        fprintf(stderr, "perdura: %c %s%s%s\n", mark, key->path, why ? "  " : "", why ? why->text : "");
}

static int check(struct story *s)
{
    const struct check_options options = {.collections = collections, .mark = tell_mark};
    struct job check_job, fsck_job;
    check_init(&check_job, s->store, NULL, NULL);
    fsck_init(&fsck_job, s->store, tell_problem, NULL);
    (void)!check_run(&check_job, &options);
    int64_t same = job_counted(&check_job, CHECK_COUNT_SAME);
    int code = outcome(&check_job, same, s->count, "check found the same");
    if (code == CLI_OK) {
        (void)!fsck_run(&fsck_job);
        code = outcome(&fsck_job, job_counted(&fsck_job, FSCK_SOUND), s->count, "fsck found sound");
    }
    if (code == CLI_OK)
        printf("8. check and fsck: disk and PostgreSQL agree, every stored image is sound\n");
    job_release(&check_job);
    job_release(&fsck_job);
    return code;
}

/* One file is lost and asked for: what the HTTP service does with every read. */
static int heal(struct story *s)
{
    struct error e;
    struct stat st;
    const struct image_key key = {"media", DEV_STORY_IMAGE};
    struct image *image;
    int fd = open_media(s, &e);
    if (fd < 0)
        return cli_fail(&e);
    int r = unlinkat(fd, key.path, 0) < 0 ? error_set(&e, -errno, "can't be removed: %s", strerror(errno)) : 0;
    int64_t started_ms = clock_monotonic_ms();
    if (r == 0)
        r = store_read(s->store, &key, &image, NULL, &e);
    if (r == 0) {
        image_unref(image);
        if (fstatat(fd, key.path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            r = error_set(&e, -errno, "was read, but is not on disk again: %s", strerror(errno));
    }
    close(fd);
    if (r < 0)
        return cli_fail_image(&key, &e);
    printf("9. heal: %s removed, asked for, and back on disk in %d ms\n", key.path,
           (int)(clock_monotonic_ms() - started_ms));
    return CLI_OK;
}

int dev_story(struct dev_folder *folder, const struct private_postgres *pg, const struct private_redis *redis,
              const struct config *config, const char *shown, struct stop_signals *signals)
{
    static int (*const steps[])(struct story *) = {tell_server, migrate, write_images, cache, wipe,
                                                   restore,     compare, check,        heal};
    struct story s = {.folder = folder, .pg = pg, .redis = redis, .config = config, .shown = shown};
    int code = CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < sizeof steps / sizeof *steps && !stop_signals_asked(signals); i++) {
        code = steps[i](&s);
        if (fflush(stdout) != 0 || ferror(stdout)) /* nobody listens any more */
            code = CLI_FAILED;
    }
    store_close(s.store);
    media_snapshot_free(s.before);
    return code;
}
