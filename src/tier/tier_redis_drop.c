/* Taking images out of Redis: by name, by pattern. Patterns go by SCAN, a few hundred keys at a time, and UNLINK, which
 * leaves the freeing to a thread of Redis: no other command waits for either. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tier/tier_redis_internal.h"

#define COMMANDS_MAX_BYTES (TIER_REDIS_NAMES_MAX * 3 * (TIER_REDIS_KEY_SIZE + 128))
#define SCAN_COUNT         "500"
#define SWEEP_STEP_MS      1000
#define SWEEP_MS           60000 /* all steps: a cursor that never ends is no reason to go on for ever */

static int add_unlink(struct redis_client_commands *cmds, const char *name)
{
    const char *argv[] = {"UNLINK", name};
    return redis_client_add(cmds, 2, argv, NULL);
}

static int count_unlinked(const void *reply, int *ret, struct error *e)
{
    if (redis_client_kind(reply) == REDIS_CLIENT_ERROR)
        return error_set(e, -EIO, "Redis: %s", redis_client_text(reply, NULL));
    *ret += redis_client_integer(reply) > 0;
    return 0;
}

static int is_ours(const char *name)
{
    return name && strncmp(name, "image:", strlen("image:")) == 0 && strlen(name) < TIER_REDIS_KEY_SIZE;
}

/* Sends what was composed with this result and lets go of it. Where that fails there are no replies. */
static int call(struct tier_redis *r, struct redis_client_commands *cmds, int composed, int64_t deadline_ms,
                struct redis_client_replies *ret, struct error *e)
{
    ret->count = 0;
    int result = composed < 0 ? error_set(e, composed, "out of memory") : 0;
    if (result == 0 && cmds->count)
        result = redis_client_call(r->client, cmds, deadline_ms, ret, e);
    redis_client_commands_release(cmds);
    return result;
}

/* The second round: what the hashes named. */
static int unlink_seen(struct tier_redis *r, const struct redis_client_replies *seen, int64_t deadline_ms,
                       struct error *e)
{
    struct redis_client_commands cmds;
    struct redis_client_replies replies;
    int result = 0, n = 0;
    redis_client_commands_init(&cmds, COMMANDS_MAX_BYTES);
    for (int i = 0; i < seen->count && result == 0; i += 2)
        if (redis_client_kind(seen->list[i]) == REDIS_CLIENT_TEXT && is_ours(redis_client_text(seen->list[i], NULL)))
            result = add_unlink(&cmds, redis_client_text(seen->list[i], NULL));
    result = call(r, &cmds, result, deadline_ms, &replies, e);
    for (int i = 0; result == 0 && i < replies.count; i++)
        result = count_unlinked(replies.list[i], &n, e);
    redis_client_replies_release(&replies);
    return result;
}

int tier_redis_unlink(struct tier_redis *r, const char *const *names, int count, int64_t deadline_ms, struct error *e)
{
    struct redis_client_commands cmds;
    struct redis_client_replies replies;
    int result = 0, n = 0;
    redis_client_commands_init(&cmds, COMMANDS_MAX_BYTES);
    for (int i = 0; i < count && result == 0; i++) {
        const char *see[] = {"HGET", names[i], "see"};
        result = redis_client_add(&cmds, 3, see, NULL);
        if (result == 0)
            result = add_unlink(&cmds, names[i]);
    }
    result = call(r, &cmds, result, deadline_ms, &replies, e);
    for (int i = 1; i < replies.count && result == 0; i += 2)
        result = count_unlinked(replies.list[i], &n, e);
    if (result == 0)
        result = unlink_seen(r, &replies, deadline_ms, e);
    redis_client_replies_release(&replies);
    return result < 0 ? result : n;
}

/* What fails is owed. */
static int drop(struct tier_redis *r, const char *const *names, int count)
{
    struct error why;
    int result = tier_redis_unlink(r, names, count, clock_monotonic_ms() + r->timeout_ms, &why);
    if (result < 0) {
        tier_redis_owe(r, names, count);
        if (redis_client_is_up(r->client))
            redis_client_trip(r->client, why.text);
    }
    return result;
}

int tier_redis_drop(struct tier_redis *r, const struct image_key *key, const struct image_meta *meta)
{
    char path_key[TIER_REDIS_KEY_SIZE], entity_key[TIER_REDIS_KEY_SIZE];
    const char *names[2] = {path_key, entity_key};
    tier_redis_path_key(path_key, key);
    return drop(r, names,
                1 + (meta && tier_redis_entity_key(entity_key, meta->content_type, meta->object_id, meta->variant)));
}

/* An image's keys: the path's, and the entity's if it has one. */
struct keys {
    char path[TIER_REDIS_KEY_SIZE], entity[TIER_REDIS_KEY_SIZE];
    char sha256[DIGEST_HEX_SIZE]; /* empty: there is no such image any more */
};

static void keys_of(const struct image_meta *row, struct keys *ret)
{
    tier_redis_path_key(ret->path, &row->key);
    if (!tier_redis_entity_key(ret->entity, row->content_type, row->object_id, row->variant))
        *ret->entity = '\0';
    if (row->deleted_us || !row->size)
        *ret->sha256 = '\0';
    else
        digest_hex(ret->sha256, row->sha256);
}

static int add_names(const struct keys *k, const char **names)
{
    names[0] = k->path;
    names[1] = k->entity;
    return *k->entity ? 2 : 1;
}

static int add_look(struct redis_client_commands *cmds, const struct keys *k)
{
    const char *home = *k->entity ? k->entity : k->path;
    const char *see[] = {"HGET", k->path, "see"}, *sha256[] = {"HGET", home, "sha256"};
    int result = redis_client_add(cmds, 3, see, NULL);
    return result < 0 ? result : redis_client_add(cmds, 3, sha256, NULL);
}

static int is_text(const void *reply, const char *text)
{
    const char *there = redis_client_text(reply, NULL);
    return redis_client_kind(reply) == REDIS_CLIENT_TEXT && there && strcmp(there, text) == 0;
}

/* Whether what is there, if anything, is what the row says. */
static int is_current(const struct keys *k, const void *see, const void *sha256)
{
    int leads_home = *k->entity ? is_text(see, k->entity) : redis_client_kind(see) == REDIS_CLIENT_NIL;
    return *k->sha256 && leads_home && is_text(sha256, k->sha256);
}

/* Adds the names of those that are not. Where it can't be told, of all. */
static int find_others(struct tier_redis *r, const struct keys *keys, int count, const char **names)
{
    struct redis_client_commands cmds;
    struct redis_client_replies replies;
    int result = 0, n = 0;
    redis_client_commands_init(&cmds, COMMANDS_MAX_BYTES);
    for (int i = 0; i < count && result == 0; i++)
        result = add_look(&cmds, &keys[i]);
    result = call(r, &cmds, result, clock_monotonic_ms() + r->timeout_ms, &replies, NULL);
    for (int i = 0; i < count; i++)
        if (result < 0 || !is_current(&keys[i], replies.list[2 * i], replies.list[2 * i + 1]))
            n += add_names(&keys[i], &names[n]);
    redis_client_replies_release(&replies);
    return n;
}

int tier_redis_drop_others(struct tier_redis *r, const struct image_meta *rows, int count)
{
    const char *names[TIER_REDIS_NAMES_MAX];
    struct keys *keys = malloc((size_t)count * sizeof *keys);
    if (!keys) {
        tier_redis_owe_all(r);
        return -ENOMEM;
    }
    for (int i = 0; i < count; i++)
        keys_of(&rows[i], &keys[i]);
    int n = find_others(r, keys, count, names);
    int result = n ? drop(r, names, n) : 0;
    free(keys);
    return result;
}

/* By pattern. A busy server that needs longer for a page than those who wait for an image allow it is no reason to
 * begin anew. */

static int call_step(struct tier_redis *r, struct redis_client_commands *cmds, int composed,
                     struct redis_client_replies *ret, struct error *e)
{
    cmds->unhurried = 1;
    return call(r, cmds, composed, clock_monotonic_ms() + SWEEP_STEP_MS, ret, e);
}

/* A key that was found, its image's data key and its path key: all that are known of it go. */
static int add_found(struct redis_client_commands *cmds, const char *name, const struct redis_client_replies *known,
                     int index)
{
    const void *fields = known->list[index];
    char path_key[TIER_REDIS_KEY_SIZE] = "";
    const char *text[3] = {0};
    for (size_t i = 0; redis_client_length(fields) == 3 && i < 3; i++)
        text[i] = redis_client_text(redis_client_at(fields, i), NULL);
    if (text[1] && text[2] && strlen(text[1]) <= IMAGE_COLLECTION_MAX && strlen(text[2]) <= SAFEPATH_MAX)
        tier_redis_path_key(path_key, &(struct image_key){text[1], text[2]});
    /* The first one holds the image, and counts. */
    int result = add_unlink(cmds, is_ours(text[0]) ? text[0] : name);
    if (result == 0)
        result = add_unlink(cmds, *path_key ? path_key : name);
    return result < 0 ? result : add_unlink(cmds, name);
}

static int drop_found(struct tier_redis *r, const char *const *names, int count, int *total, struct error *e)
{
    struct redis_client_commands cmds;
    struct redis_client_replies known, replies;
    int result = 0, others = 0;
    redis_client_commands_init(&cmds, COMMANDS_MAX_BYTES);
    for (int i = 0; i < count && result == 0; i++) {
        const char *argv[] = {"HMGET", names[i], "see", "collection", "path"};
        result = redis_client_add(&cmds, 5, argv, NULL);
    }
    result = call_step(r, &cmds, result, &known, e);
    if (result < 0)
        return result;
    for (int i = 0; i < count && result == 0; i++)
        result = add_found(&cmds, names[i], &known, i);
    result = call_step(r, &cmds, result, &replies, e);
    redis_client_replies_release(&known);
    for (int i = 0; i < replies.count && result == 0; i++)
        result = count_unlinked(replies.list[i], i % 3 == 0 ? total : &others, e);
    redis_client_replies_release(&replies);
    return result;
}

static int drop_page(struct tier_redis *r, const void *keys, int *total, struct error *e)
{
    const char *names[TIER_REDIS_NAMES_MAX];
    int n = 0, result = 0;
    for (size_t i = 0; i < redis_client_length(keys) && result == 0; i++) {
        const char *name = redis_client_text(redis_client_at(keys, i), NULL);
        if (is_ours(name))
            names[n++] = name;
        if (n == TIER_REDIS_NAMES_MAX || (n && i + 1 == redis_client_length(keys))) {
            result = drop_found(r, names, n, total, e);
            n = 0;
        }
    }
    return result;
}

/* What a page of SCAN begins with; NULL: it is no page. */
static const char *find_cursor(const void *page)
{
    const char *text = redis_client_length(page) == 2 ? redis_client_text(redis_client_at(page, 0), NULL) : NULL;
    return text && *text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 20 ? text : NULL;
}

int tier_redis_sweep(struct tier_redis *r, const char *pattern, struct error *e)
{
    char cursor[32] = "0";
    int64_t until_ms = clock_monotonic_ms() + SWEEP_MS;
    int total = 0, result;
    do {
        const char *argv[] = {"SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT};
        struct redis_client_commands cmds;
        struct redis_client_replies replies;
        redis_client_commands_init(&cmds, COMMANDS_MAX_BYTES);
        result = redis_client_add(&cmds, 6, argv, NULL);
        result = call_step(r, &cmds, result, &replies, e);
        if (result < 0)
            return result;
        const void *page = replies.list[0];
        if (find_cursor(page)) {
            (void)snprintf(cursor, sizeof cursor, "%s", find_cursor(page));
            result = drop_page(r, redis_client_at(page, 1), &total, e);
        } else {
            result = error_set(e, -EIO, "Redis: %s",
                               redis_client_text(page, NULL) ? redis_client_text(page, NULL) : "does not know SCAN");
        }
        redis_client_replies_release(&replies);
        if (result == 0 && !clock_left_ms(until_ms))
            result = error_set(e, -ETIMEDOUT, "Redis: SCAN came to no end within %d s", SWEEP_MS / 1000);
    } while (result == 0 && strcmp(cursor, "0") != 0);
    return result < 0 ? result : total;
}

int tier_redis_drop_matching(struct tier_redis *r, const char *pattern)
{
    struct error why;
    atomic_fetch_add(&r->sweeps, 1);
    int result = tier_redis_sweep(r, pattern, &why);
    if (result < 0) {
        tier_redis_owe_all(r);
        if (redis_client_is_up(r->client))
            redis_client_trip(r->client, why.text);
    }
    return result;
}
