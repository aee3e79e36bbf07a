#include "tier/tier_redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/lock.h"
#include "config/config.h"
#include "tier/tier_redis_internal.h"

#define COMMANDS_MAX_BYTES    (1 << 16) /* besides an image's bytes */
#define REPLY_EXTRA_BYTES     (1 << 20)
#define TRANSFER_BYTES_PER_MS 100000 /* what a network at 1 Gbit/s carries */

/* Even, in (0, 1]. */
static double chance(void)
{
    unsigned n = 0;
    (void)!getrandom(&n, sizeof n, 0);
    return (n + 1.0) / 4294967296.0;
}

/* Life */

static void on_change(void *arg, int up, const char *why)
{
    struct tier_redis *r = arg;
    struct error e;
    if (r->changed)
        r->changed(r->changed_arg, up ? TIER_REDIS_UP : TIER_REDIS_DOWN, why);
    /* What came between the last look and the closing of the breaker. */
    if (up && tier_redis_work_off(r, &e) < 0)
        redis_client_trip(r->client, e.text);
}

static int on_recover(void *arg, enum redis_client_seen seen, struct error *e)
{
    struct tier_redis *r = arg;
    if (seen == REDIS_CLIENT_OTHER)
        tier_redis_owe_all(r);
    return tier_redis_work_off(r, e);
}

int tier_redis_open(struct tier_redis **ret, const struct config *config, tier_redis_changed_fn *changed, void *arg,
                    struct error *e)
{
    struct tier_redis *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, -ENOMEM, "out of memory");
    r->timeout_ms = config->redis_timeout_ms;
    r->pool_timeout_ms = config->redis_pool_timeout_s * 1000;
    r->max_bytes = config->redis_max_bytes;
    r->encoding = config->compress == CONFIG_COMPRESS_ZSTD ? TIER_REDIS_ZSTD : TIER_REDIS_PLAIN;
    r->changed = changed;
    r->changed_arg = arg;
    atomic_init(&r->ttl_s, config->cache_ttl_s);
    tier_redis_owed_init(&r->owed);
    tier_redis_writes_init(&r->writes);
    struct redis_client_options options = {
        .url = config->redis,
        .tls = {config->redis_tls_ca, config->redis_tls_fingerprint,
                config->redis_tls_insecure || config->redis.insecure},
        .max_connections = config->redis_pool,
        .silence_ms = config->redis_timeout_ms,
        .pool_timeout_ms = r->pool_timeout_ms,
        .reply_max_bytes = TIER_REDIS_READ_MAX * ((size_t)config->redis_max_bytes + REPLY_EXTRA_BYTES),
        .on_change = on_change,
        .on_recover = on_recover,
        .arg = r,
    };
    int result = redis_client_open(&r->client, &options, e);
    if (result < 0)
        tier_redis_free(r);
    else
        *ret = r;
    return result;
}

void tier_redis_free(struct tier_redis *r)
{
    if (!r)
        return;
    redis_client_close(r->client);
    tier_redis_owed_release(&r->owed);
    tier_redis_writes_release(&r->writes);
    free(r);
}

void tier_redis_connect(struct tier_redis *r)
{
    redis_client_connect(r->client);
}

int tier_redis_is_up(struct tier_redis *r)
{
    return !atomic_load(&r->owed.any) && redis_client_is_up(r->client);
}

uint64_t tier_redis_sweeps(struct tier_redis *r)
{
    return atomic_load(&r->sweeps);
}

void tier_redis_set_ttl(struct tier_redis *r, int seconds)
{
    atomic_store(&r->ttl_s, seconds);
}

void tier_redis_state(struct tier_redis *r, struct tier_redis_state *ret)
{
    redis_client_state(r->client, &ret->client);
    lock_take(&r->owed.lock);
    ret->owed = r->owed.count;
    ret->owes_all = r->owed.all != r->owed.all_done;
    lock_give(&r->owed.lock);
    ret->ttl_s = atomic_load(&r->ttl_s);
    lock_take(&r->writes.lock);
    ret->writes = r->writes.state;
    memcpy(ret->refusal, r->writes.why, sizeof ret->refusal);
    lock_give(&r->writes.lock);
}

/* Reading */

struct redis_reading {
    struct tier_redis *r;
    void *const *items; /* each begins with its key */
    int count;
    int64_t deadline_ms;
    char names[TIER_REDIS_READ_MAX][TIER_REDIS_KEY_SIZE]; /* the key that is read next */
    struct outcome {
        int code; /* of a read that has ended; 1: `see` has named the key to read */
        int refresh;
        int damaged;
        struct image *image;
    } outcomes[TIER_REDIS_READ_MAX];
};

static int ask_fields(struct redis_client_commands *cmds, const char *name)
{
    const char *hmget[2 + TIER_REDIS_FIELDS] = {"HMGET", name}, *pttl[] = {"PTTL", name};
    memcpy(hmget + 2, tier_redis_field_names, sizeof tier_redis_field_names);
    int result = redis_client_add(cmds, 2 + TIER_REDIS_FIELDS, hmget, NULL);
    return result < 0 ? result : redis_client_add(cmds, 2, pttl, NULL);
}

static void take_hash(struct redis_reading *x, int i, const void *fields, int64_t left_ms)
{
    struct outcome *o = &x->outcomes[i];
    struct tier_redis_hash h;
    int was_named = o->code == 1;
    o->code = tier_redis_hash_reply(&h, fields);
    if (o->code == 0 && left_ms == -2) {
        o->code = -ENOENT;
    } else if (o->code == 0 && h.values[TIER_REDIS_SEE] && !was_named &&
               strlen(h.values[TIER_REDIS_SEE]) < TIER_REDIS_KEY_SIZE) {
        (void)snprintf(x->names[i], TIER_REDIS_KEY_SIZE, "%s", h.values[TIER_REDIS_SEE]);
        o->code = 1;
    } else if (o->code == 0) {
        o->code = tier_redis_hash_read(&h, x->items[i], x->r->max_bytes, &o->image);
        o->refresh = o->code == 0 && left_ms >= 0 &&
                     tier_redis_is_due(left_ms, tier_redis_hash_number(&h, TIER_REDIS_FETCH_US), chance());
    }
    o->damaged = o->code == -EBADMSG;
}

/* An error that is not about one key's content: nothing can be read there. */
static int check_read(struct tier_redis *r, const struct redis_client_replies *replies, struct error *e)
{
    for (int i = 0; i < replies->count; i++) {
        const char *text = redis_client_text(replies->list[i], NULL);
        if (redis_client_kind(replies->list[i]) != REDIS_CLIENT_ERROR || strncmp(text, "WRONGTYPE", 9) == 0)
            continue;
        error_set(e, -ENOTCONN, "Redis: %s", text);
        if (redis_client_is_up(r->client))
            redis_client_trip(r->client, e->text);
        return -ENOTCONN;
    }
    return 0;
}

/* One round trip for all whose outcome's code is `code`. */
static int read_round(struct redis_reading *x, int code, struct error *e)
{
    struct redis_client_commands cmds;
    struct redis_client_replies replies;
    int asked[TIER_REDIS_READ_MAX], n = 0, result = 0;
    redis_client_commands_init(&cmds, (size_t)COMMANDS_MAX_BYTES * 2);
    for (int i = 0; i < x->count && result == 0; i++) {
        if (x->outcomes[i].code != code)
            continue;
        result = ask_fields(&cmds, x->names[i]);
        asked[n++] = i;
    }
    if (result < 0)
        error_set(e, result, "out of memory");
    if (result == 0 && n) {
        replies.count = 0;
        result = redis_client_call(x->r->client, &cmds, x->deadline_ms, &replies, e);
        if (result == 0)
            result = check_read(x->r, &replies, e);
        for (int k = 0; k < n && result == 0; k++)
            take_hash(x, asked[k], replies.list[2 * k], redis_client_integer(replies.list[2 * k + 1]));
        redis_client_replies_release(&replies);
    }
    redis_client_commands_release(&cmds);
    return result;
}

/* Keys that hold something else than an image of ours stand in its way. */
static void drop_damaged(struct redis_reading *x)
{
    const char *names[TIER_REDIS_READ_MAX];
    int n = 0;
    for (int i = 0; i < x->count; i++)
        if (x->outcomes[i].damaged)
            names[n++] = x->names[i];
    if (n)
        (void)!tier_redis_unlink(x->r, names, n, clock_monotonic_ms() + x->r->timeout_ms, NULL);
}

void tier_redis_read(struct tier_redis *r, void *const *items, int count, tier_redis_got_fn *got, void *arg)
{
    struct redis_reading x = {.r = r, .items = items, .count = count};
    struct error why;
    x.deadline_ms = clock_monotonic_ms() + r->timeout_ms + count * r->max_bytes / TRANSFER_BYTES_PER_MS;
    for (int i = 0; i < count; i++)
        tier_redis_path_key(x.names[i], items[i]);
    int result = atomic_load(&r->owed.any) ? error_set(&why, -ENOTCONN, "Redis holds what was to be dropped")
                                           : read_round(&x, 0, &why);
    if (result == 0)
        result = read_round(&x, 1, &why);
    if (result == 0) /* before anyone hears of it, and puts the image there anew */
        drop_damaged(&x);
    for (int i = 0; i < count; i++) {
        struct outcome *o = &x.outcomes[i];
        if (result == 0 && o->code < 0)
            error_set(&why, -ENOENT, "is not in Redis");
        got(arg, items[i], o->image, o->refresh, &why);
    }
}

/* Putting. In a transaction: no key is left without a time to live, whenever the connection is lost. */

static int add_hash(struct redis_client_commands *cmds, const char *name, const struct tier_redis_hash *h)
{
    const char *argv[2 + 2 * TIER_REDIS_FIELDS] = {"HSET", name};
    size_t lengths[2 + 2 * TIER_REDIS_FIELDS] = {strlen("HSET"), strlen(name)};
    int argc = 2;
    for (int i = 0; i < TIER_REDIS_FIELDS; i++) {
        if (!h->values[i])
            continue;
        argv[argc] = tier_redis_field_names[i];
        lengths[argc++] = strlen(tier_redis_field_names[i]);
        argv[argc] = h->values[i];
        lengths[argc++] = h->lengths[i];
    }
    return redis_client_add(cmds, argc, argv, lengths);
}

static int add_key(struct redis_client_commands *cmds, const char *name, const struct tier_redis_hash *h,
                   const char *ttl_ms)
{
    const char *unlink[] = {"UNLINK", name}, *expire[] = {"PEXPIRE", name, ttl_ms};
    int result = redis_client_add(cmds, 2, unlink, NULL);
    if (result == 0)
        result = add_hash(cmds, name, h);
    return result < 0 ? result : redis_client_add(cmds, 3, expire, NULL);
}

static int compose_put(struct tier_redis *r, struct redis_client_commands *cmds, const struct tier_redis_hash *h,
                       const char *path_key, const char *entity_key)
{
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    struct tier_redis_hash pointer = {.values = {[TIER_REDIS_SEE] = entity_key},
                                      .lengths = {[TIER_REDIS_SEE] = strlen(entity_key)}};
    char ttl_ms[24];
    int64_t longest_ms = atomic_load(&r->ttl_s) * (int64_t)1000;
    (void)snprintf(ttl_ms, sizeof ttl_ms, "%lld", (long long)((double)longest_ms * (1 - 0.1 * chance())));
    int result = redis_client_add(cmds, 1, multi, NULL);
    if (result == 0)
        result = add_key(cmds, *entity_key ? entity_key : path_key, h, ttl_ms);
    if (result == 0 && *entity_key)
        result = add_key(cmds, path_key, &pointer, ttl_ms);
    return result < 0 ? result : redis_client_add(cmds, 1, exec, NULL);
}

/* Why the transaction was not carried out, NULL when it was: its own answer is the last one, with an answer to each of
 * its commands; a command that was refused beforehand says why it was given up. */
static const char *find_refusal(const struct redis_client_replies *replies)
{
    for (int i = 0; i < replies->count; i++)
        if (redis_client_kind(replies->list[i]) == REDIS_CLIENT_ERROR)
            return redis_client_text(replies->list[i], NULL);
    const void *done = replies->list[replies->count - 1];
    if (!redis_client_length(done))
        return "the transaction was not carried out";
    for (size_t i = 0; i < redis_client_length(done); i++)
        if (redis_client_kind(redis_client_at(done, i)) == REDIS_CLIENT_ERROR)
            return redis_client_text(redis_client_at(done, i), NULL);
    return NULL;
}

static int send_put(struct tier_redis *r, const struct redis_client_commands *cmds, const char *path_key,
                    struct error *e)
{
    struct redis_client_replies replies;
    int result = redis_client_call(r->client, cmds, clock_monotonic_ms() + r->pool_timeout_ms, &replies, e);
    if (result < 0 && result != -EAGAIN) /* it may come there yet, when it is another image already */
        tier_redis_owe(r, &path_key, 1);
    if (result < 0)
        return result;
    const char *refusal = find_refusal(&replies);
    if (refusal) {
        result = error_set(e, -ENOSPC, "Redis: %s", refusal);
        tier_redis_note_refused(r, refusal);
    } else {
        tier_redis_note_accepted(r);
    }
    redis_client_replies_release(&replies);
    return result;
}

int tier_redis_put(struct tier_redis *r, const struct image *image, int64_t fetch_us, struct error *e)
{
    char path_key[TIER_REDIS_KEY_SIZE], entity_key[TIER_REDIS_KEY_SIZE];
    const struct image_meta *meta = &image->meta;
    struct redis_client_commands cmds;
    struct tier_redis_hash h;
    if (meta->size > r->max_bytes)
        return error_set(e, -EFBIG, "has more bytes than PERDURA_REDIS_MAX_BYTES lets into Redis");
    if (!tier_redis_is_up(r))
        return error_set(e, -ENOTCONN, "Redis is unavailable, the circuit breaker is open");
    int may = tier_redis_may_write(r, e);
    if (may < 0)
        return may;
    tier_redis_path_key(path_key, &meta->key);
    if (!tier_redis_entity_key(entity_key, meta->content_type, meta->object_id, meta->variant))
        *entity_key = '\0';
    tier_redis_hash_init(&h, image, fetch_us, r->encoding);
    redis_client_commands_init(&cmds, (size_t)meta->size + COMMANDS_MAX_BYTES);
    int result = compose_put(r, &cmds, &h, path_key, entity_key);
    result = result < 0 ? error_set(e, result, "out of memory") : send_put(r, &cmds, path_key, e);
    redis_client_commands_release(&cmds);
    tier_redis_hash_release(&h);
    return result;
}

/* Asking */

static int ask_one(struct tier_redis *r, int argc, const char *const *argv, int wait_ms,
                   struct redis_client_replies *ret, struct error *e)
{
    struct redis_client_commands cmds;
    redis_client_commands_init(&cmds, COMMANDS_MAX_BYTES);
    cmds.is_ping = strcmp(argv[0], "PING") == 0;
    int result = redis_client_add(&cmds, argc, argv, NULL);
    result = result < 0 ? error_set(e, result, "out of memory")
                        : redis_client_call(r->client, &cmds, clock_monotonic_ms() + wait_ms, ret, e);
    redis_client_commands_release(&cmds);
    return result;
}

/* Whether the path's key still names the entity's. */
static int is_named(struct tier_redis *r, const struct image_key *key, const char *entity_key, struct error *e)
{
    char path_key[TIER_REDIS_KEY_SIZE];
    struct redis_client_replies replies;
    tier_redis_path_key(path_key, key);
    int result = ask_one(r, 3, (const char *[]){"HGET", path_key, "see"}, r->timeout_ms, &replies, e);
    if (result < 0)
        return result;
    const char *see = redis_client_text(replies.list[0], NULL);
    result = see && strcmp(see, entity_key) == 0 ? 0 : error_set(e, -ENOENT, "is not in Redis");
    redis_client_replies_release(&replies);
    return result;
}

/* The answer's five texts: the image's collection and path, then the names of the entity. */
static int read_key(const void *reply, const char *const *entity, struct image_key *ret)
{
    const char *text[5];
    if (redis_client_length(reply) != 5)
        return -ENOENT;
    for (size_t i = 0; i < 5; i++) {
        text[i] = redis_client_text(redis_client_at(reply, i), NULL);
        if (!text[i] || (i >= 2 && strcmp(text[i], entity[i - 2]) != 0))
            return -ENOENT;
    }
    if (strlen(text[0]) > IMAGE_COLLECTION_MAX || safepath_check(text[1], strlen(text[1]), NULL) < 0)
        return -ENOENT;
    *ret = (struct image_key){text[0], text[1]};
    return 0;
}

int tier_redis_resolve(struct tier_redis *r, const char *content_type, const char *object_id, const char *variant,
                       char ret_name[IMAGE_NAME_SIZE], struct error *e)
{
    char entity_key[TIER_REDIS_KEY_SIZE];
    struct redis_client_replies replies;
    if (!tier_redis_entity_key(entity_key, content_type, object_id, variant))
        return error_set(e, -ENOENT, "is not in Redis");
    if (!tier_redis_is_up(r))
        return error_set(e, -ENOTCONN, "Redis is unavailable, the circuit breaker is open");
    const char *argv[] = {"HMGET", entity_key, "collection", "path", "entity_type", "object_id", "variant"};
    int result = ask_one(r, 7, argv, r->timeout_ms, &replies, e);
    if (result < 0)
        return result;
    const char *const entity[] = {content_type, object_id, variant};
    struct image_key key;
    result = read_key(replies.list[0], entity, &key);
    result = result < 0 ? error_set(e, result, "is not in Redis") : is_named(r, &key, entity_key, e);
    if (result == 0)
        (void)image_key_name(&key, ret_name);
    redis_client_replies_release(&replies);
    return result;
}

int tier_redis_has(struct tier_redis *r, const struct image_key *key, struct error *e)
{
    char path_key[TIER_REDIS_KEY_SIZE];
    struct redis_client_replies replies;
    if (!tier_redis_is_up(r))
        return error_set(e, -ENOTCONN, "Redis is unavailable, the circuit breaker is open");
    tier_redis_path_key(path_key, key);
    int result = ask_one(r, 2, (const char *[]){"EXISTS", path_key}, r->timeout_ms, &replies, e);
    if (result < 0)
        return result;
    result = redis_client_integer(replies.list[0]) > 0;
    redis_client_replies_release(&replies);
    return result;
}

/* Where it refuses images: whether it still does. Nobody may ask for one that would be put. */
static void try_write(struct tier_redis *r, int wait_ms)
{
    struct redis_client_replies replies;
    lock_take(&r->writes.lock);
    int due = r->writes.state != TIER_REDIS_ACCEPTS && clock_monotonic_ms() >= r->writes.until_ms;
    lock_give(&r->writes.lock);
    if (!due || ask_one(r, 5, (const char *[]){"SET", "image:probe", "1", "PX", "1"}, wait_ms, &replies, NULL) < 0)
        return;
    if (redis_client_kind(replies.list[0]) == REDIS_CLIENT_ERROR)
        tier_redis_note_refused(r, redis_client_text(replies.list[0], NULL));
    else
        tier_redis_note_accepted(r);
    redis_client_replies_release(&replies);
}

int tier_redis_ping(struct tier_redis *r, int wait_ms, struct error *e)
{
    struct redis_client_replies replies;
    int result = ask_one(r, 1, (const char *[]){"PING"}, wait_ms, &replies, e);
    if (result == 0) {
        redis_client_replies_release(&replies);
        try_write(r, wait_ms);
    }
    return result;
}
