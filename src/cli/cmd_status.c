#include <stdio.h>
#include <string.h>

#include "api/describe.h"
#include "api/describe_sync.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "client/db_fault.h"

#define REDIS_MS   1000
#define OBJECTS_MS 5000

static void print_redis(const struct store_redis_status *redis)
{
    if (redis->configured && !*redis->why)
        printf("redis      up, %s, images for %d s\n", redis->server, redis->ttl_s);
    else if (redis->configured)
        printf("redis      %s: %s\n", redis->state, redis->why);
}

static void print_uploads(const struct uploads_count *u)
{
    char pending[OUTPUT_SIZE], failed[OUTPUT_SIZE], bytes[OUTPUT_SIZE], age[OUTPUT_SIZE];
    if (!u->pending && !u->failed)
        return;
    printf("uploads    %s wait for their buckets, %s failed, %s, the oldest for %s s%s%s\n",
           output_number(pending, u->pending), output_number(failed, u->failed), output_bytes(bytes, u->bytes),
           output_number(age, u->oldest_s), *u->why ? ": " : "", u->why);
}

static void print_objects(const struct store_objects_status *objects)
{
    if (objects->configured && objects->up)
        printf("objects    up, %s\n", objects->where);
    else if (objects->configured)
        printf("objects    down: %s\n", objects->why);
}

static void print_cleanup(const struct store_cleanup_status *s)
{
    char n[OUTPUT_SIZE], when[CLOCK_ISO_SIZE];
    if (s->days && *s->use_error)
        printf("cleaning   refused, because the use of files is not known: %s\n", s->use_error);
    else if (s->announced)
        printf("cleaning   %s images not used for %lld days will be moved into the trash from %s on\n",
               output_number(n, s->announced), (long long)s->days, clock_iso(when, s->announced_from_us));
    if (s->undecided)
        printf("cleaning   %s images that nobody deleted are in the trash, moved there by an earlier version: perdura "
               "restore --cleaned-up\n",
               output_number(n, s->undecided));
}

static void print_text(const struct store_status *s, const struct store_redis_status *redis,
                       const struct store_objects_status *objects, const struct uploads_count *uploads,
                       const struct store_cleanup_status *cleanup)
{
    char n[OUTPUT_SIZE], b[OUTPUT_SIZE], tn[OUTPUT_SIZE], tb[OUTPUT_SIZE], when[CLOCK_ISO_SIZE];
    struct store_status_collection sum = describe_total(s);
    printf("persisted  %s images, %s\n", output_number(n, sum.images), output_bytes(b, sum.bytes));
    printf("trash      %s images, %s\n", output_number(tn, sum.trash_images), output_bytes(tb, sum.trash_bytes));
    printf("database   PostgreSQL %s, %s on its disk, migration %lld%s%s%s\n", s->server_version,
           output_bytes(b, s->stored_bytes), (long long)s->migration, s->schema == STORE_SCHEMA_CURRENT ? "" : " (",
           s->schema == STORE_SCHEMA_CURRENT ? "" : describe_schema(s->schema),
           s->schema == STORE_SCHEMA_CURRENT ? "" : " than this program's)");
    if (s->writing.code)
        printf("writing    %s: %s\n", db_state_name(db_fault_state(s->writing.code)), s->writing.text);
    if (sum.linked_images)
        printf("elsewhere  %s of them, %s\n", output_number(n, sum.linked_images), output_bytes(b, sum.linked_bytes));
    print_cleanup(cleanup);
    print_uploads(uploads);
    print_redis(redis);
    print_objects(objects);
    printf("feed       %lld instances hear of changes at once\n", (long long)s->listeners);
    if (s->collections_len > 1)
        printf("\n");
    for (int i = 0; s->collections_len > 1 && i < s->collections_len; i++)
        printf("%-16s %s images, %s\n", s->collections[i].name, output_number(n, s->collections[i].images),
               output_bytes(b, s->collections[i].bytes));
    if (s->jobs_len)
        printf("\n");
    for (int i = 0; i < s->jobs_len; i++)
        printf("last %-10s %s  %s  %s\n", s->jobs[i].kind, clock_iso(when, s->jobs[i].finished_us), s->jobs[i].state,
               s->jobs[i].result);
}

static int run_status(struct cli *cli)
{
    struct store_status status;
    struct store_redis_status redis;
    struct uploads_counts uploads;
    struct store_objects_status objects;
    struct store_cleanup_status cleanup;
    struct error e;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    if (store_status(store, &status, &e) < 0 || uploads_counts(store, &uploads, &e) < 0 ||
        store_cleanup_status(store, &cleanup, &e) < 0)
        return cli_fail(&e);
    store_redis_status(store, REDIS_MS, &redis);
    store_objects_status(store, OBJECTS_MS, &objects);
    if (cli->json) {
        json_t *body = describe_status(&status);
        json_object_set_new(body, "uploads", describe_sync_describe_uploads(&uploads.all));
        json_object_set_new(body, "cleanup", describe_cleanup(&cleanup));
        json_object_set_new(body, "redis", describe_redis(&redis));
        json_object_set_new(body, "object_storage", describe_objects(&objects));
        output_json(body);
    } else {
        print_text(&status, &redis, &objects, &uploads.all, &cleanup);
    }
    return CLI_OK;
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "Show stored images and recent jobs",
    .lacks = CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_status,
};
