#include "tier/tier_object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "client/s3.h"
#include "config/s3_settings.h"

#define PATIENCE_MS     60000
#define SLOWEST_PER_MS  100 /* bytes: 100 kB/s */
#define SOURCE_TRIES    3
#define WAITED_FOR_S    5 /* for the first byte, and for more */
#define SOURCE_PAUSE_US 300000
#define STATUS_FRESH_MS 5000
#define REMOVE_MS       60000 /* less than the ten minutes of sql/object_claim.sql */

struct tier_object {
    const struct config *config;
    struct s3 *s3;             /* NULL: none is set up */
    struct fetch_pool *others; /* PERDURA_ALLOWED_SOURCES */
    char *bucket;              /* of PERDURA_LARGE_BUCKET; NULL: none */
    const char *prefix;        /* behind it, "" or "images/" */
    char *prefix_own;
    struct lock lock; /* over the next three */
    int64_t asked_ms; /* 0: never */
    int up;
    char why[ERROR_TEXT_MAX];
};

/* Opening */

static int take_bucket(struct tier_object *o, const char *setting)
{
    size_t n = strcspn(setting, "/");
    o->bucket = strndup(setting, n);
    o->prefix = "";
    if (o->bucket && setting[n]) {
        if (asprintf(&o->prefix_own, "%s/", setting + n + 1) < 0)
            o->prefix_own = NULL;
        o->prefix = o->prefix_own;
    }
    return o->bucket && o->prefix ? 0 : -ENOMEM;
}

int tier_object_open(struct tier_object **ret, const struct config *c, struct error *e)
{
    struct tier_object *o = calloc(1, sizeof *o);
    const struct fetch_policy policy = fetch_policy_sources(c);
    if (!o)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    lock_init(&o->lock, LOCK_object);
    o->config = c;
    int r = s3_settings_missing(c) ? 0 : s3_open(&o->s3, c, e);
    if (r == 0)
        r = fetch_pool_open(&o->others, &policy, e);
    if (r == 0 && c->large_bucket && take_bucket(o, c->large_bucket) < 0)
        r = error_set_sentence(e, -ENOMEM, "out of memory");
    if (r < 0)
        tier_object_close(o);
    else
        *ret = o;
    return r;
}

void tier_object_close(struct tier_object *o)
{
    if (!o)
        return;
    s3_close(o->s3);
    fetch_pool_close(o->others);
    free(o->bucket);
    free(o->prefix_own);
    lock_destroy(&o->lock);
    free(o);
}

int tier_object_takes(const struct tier_object *o)
{
    return o->bucket != NULL;
}

static void key_of(const struct tier_object *o, const unsigned char sha256[DIGEST_SHA256_LEN], char *ret, size_t size)
{
    char hex[DIGEST_HEX_SIZE];
    digest_hex(hex, sha256);
    (void)snprintf(ret, size, "%s%s", o->prefix, hex);
}

const char *tier_object_url(const struct tier_object *o, const unsigned char sha256[DIGEST_SHA256_LEN],
                            char ret[IMAGE_URL_SIZE])
{
    char key[IMAGE_URL_SIZE];
    key_of(o, sha256, key, sizeof key);
    (void)snprintf(ret, IMAGE_URL_SIZE, "s3://%.64s/%.900s", o->bucket, key);
    return ret;
}

const char *tier_object_base(const struct tier_object *o, char ret[IMAGE_URL_SIZE])
{
    (void)snprintf(ret, IMAGE_URL_SIZE, "s3://%.64s/%.900s", o->bucket, o->prefix);
    return ret;
}

int64_t tier_object_patience_ms(int64_t bytes)
{
    return PATIENCE_MS + bytes / SLOWEST_PER_MS;
}

/* What the storage said */

static void note(struct tier_object *o, int up, const char *why)
{
    lock_take(&o->lock);
    o->asked_ms = clock_monotonic_ms();
    o->up = up;
    (void)snprintf(o->why, sizeof o->why, "%.*s", (int)sizeof o->why - 1, up ? "" : why);
    lock_give(&o->lock);
}

/* client/s3's codes to ours, noting whether the storage serves. `local` was the failure of a body or a sink, if any. */
static int judge(struct tier_object *o, int code, int local, const struct error *said, struct error *e)
{
    if (code == 0 || local < 0) {
        if (code == 0)
            note(o, 1, "");
        return code == 0 ? 0 : error_pass(e, local, said);
    }
    switch (code) {
    case -ENOENT:
        note(o, 1, "");
        return error_set(e, -EBADMSG, "is damaged: %s", said->text);
    case -ECANCELED:
    case -ENOMEM:
        return error_pass(e, code, said);
    case -EFBIG:
        note(o, 1, "");
        return error_set(e, -EBADMSG, "is damaged: its object has more bytes than its row says");
    case -EIO:
    case -ESTALE:
        note(o, 1, "");
        return error_pass(e, -EHOSTDOWN, said);
    default:
        note(o, 0, said->text);
        return error_pass(e, -EHOSTDOWN, said);
    }
}

/* One that did not serve a moment ago is asked once: each of many images would wait for all the repetitions. */
static int attempts(struct tier_object *o)
{
    lock_take(&o->lock);
    int rests = o->asked_ms && !o->up && clock_monotonic_ms() - o->asked_ms < STATUS_FRESH_MS;
    lock_give(&o->lock);
    return rests ? 1 : 0;
}

/* Putting */

struct sending {
    const struct fetch_body *body;
    int failed;
};

static long read_body(void *arg, int64_t offset, void *dst, size_t n)
{
    struct sending *s = arg;
    long got = s->body->read_at(s->body->arg, offset, dst, n);
    if (got <= 0)
        s->failed = got < 0 ? (int)got : -ESTALE;
    return got;
}

int tier_object_put(struct tier_object *o, const struct image_meta *meta, const struct fetch_body *body,
                    const atomic_int *cancel, struct error *e)
{
    struct sending sending = {.body = body};
    const struct fetch_body wrapped = {.len = meta->size, .read_at = read_body, .arg = &sending};
    const struct s3_call call = {.deadline_ms = clock_monotonic_ms() + tier_object_patience_ms(meta->size),
                                 .attempts = attempts(o),
                                 .cancel = cancel};
    char key[IMAGE_URL_SIZE];
    struct s3_object object;
    struct error said;
    key_of(o, meta->sha256, key, sizeof key);
    int r = s3_put(o->s3, &call, o->bucket, key, &wrapped, meta->mime, meta->sha256, &object, &said);
    if (r == -ESTALE) /* it changed while it was read */
        return error_pass(e, -ESTALE, &said);
    if (r == -EIO && !sending.failed) { /* it serves, and this one image went wrong */
        note(o, 1, "");
        r = error_set(e, -EREMOTEIO, "was not uploaded: %s", said.text);
    } else {
        r = judge(o, r, sending.failed, &said, e);
    }
    metric_inc(r == 0 ? METRIC_object_puts : METRIC_object_errors);
    if (r == 0)
        metric_add(METRIC_object_put_bytes, METRIC_none, METRIC_none, meta->size);
    return r;
}

/* Reading */

struct receiving {
    const struct image_meta *meta;
    const struct fetch_sink *sink;
    enum tier_object_haste haste;
    struct digest sha256;
    int64_t got;
    int failed; /* of the sink */
};

static int receive(void *arg, const void *bytes, size_t n)
{
    struct receiving *x = arg;
    x->got += (int64_t)n;
    int r = digest_add(&x->sha256, bytes, n);
    if (r == 0)
        r = x->sink->write(x->sink->arg, bytes, n);
    x->failed = r;
    return r;
}

static int64_t begin_by_ms(const struct receiving *x)
{
    return x->haste == TIER_OBJECT_WAITED_FOR ? clock_monotonic_ms() + WAITED_FOR_S * 1000 : 0;
}

static int stalled_s(const struct receiving *x)
{
    return x->haste == TIER_OBJECT_WAITED_FOR ? WAITED_FOR_S : 0;
}

static int read_s3(struct tier_object *o, const char *bucket, const char *key, struct receiving *x,
                   const atomic_int *cancel, struct error *e)
{
    const struct s3_read read = {.len = -1, .max_bytes = x->meta->size, .sink = {.write = receive, .arg = x}};
    const struct s3_call call = {.deadline_ms = clock_monotonic_ms() + tier_object_patience_ms(x->meta->size),
                                 .attempts = attempts(o),
                                 .stalled_s = stalled_s(x),
                                 .begin_by_ms = begin_by_ms(x),
                                 .cancel = cancel};
    struct s3_object object;
    struct error said;
    int r = s3_get(o->s3, &call, bucket, key, &read, &object, &said);
    return judge(o, r, x->failed, &said, e);
}

static int tell_source(int code, int status, const struct receiving *x, const struct error *said, struct error *e)
{
    if (x->failed < 0)
        return error_pass(e, x->failed, said);
    if (code == -EPERM)
        return error_set(e, -ENOTSUP, "can't be fetched: %s", said->text);
    if (code == -EFBIG)
        return error_set(e, -EBADMSG, "is damaged: %s", said->text);
    if (code < 0)
        return error_pass(e, code == -ECANCELED || code == -ENOMEM ? code : -EHOSTDOWN, said);
    int gone = status == 404 || status == 410;
    return error_set(e, gone ? -EBADMSG : -EHOSTDOWN, "%s where its row says it is (status %d)",
                     gone ? "is not" : "can't be fetched from", status);
}

/* Without a key. Once something came, another try would have to begin anew. */
static int read_source(struct tier_object *o, struct receiving *x, const atomic_int *cancel, struct error *e)
{
    const struct fetch_sink sink = {.write = receive, .arg = x};
    const struct fetch_request request = {.method = FETCH_GET,
                                          .url = x->meta->url,
                                          .sink = &sink,
                                          .max_bytes = x->meta->size,
                                          .deadline_ms = clock_monotonic_ms() + tier_object_patience_ms(x->meta->size),
                                          .stalled_s = stalled_s(x),
                                          .begin_by_ms = begin_by_ms(x),
                                          .cancel = cancel};
    struct fetch_answer answer;
    struct error said = {0};
    for (int tries = 1;; tries++) {
        int r = fetch(o->others, &request, &answer, &said);
        if (r == 0 && answer.status == 200)
            return 0;
        int passing = r == -ENOTCONN || r == -ECONNRESET || r == -ENODATA ||
                      (r == -ETIMEDOUT && x->haste == TIER_OBJECT_PATIENT) ||
                      (r == 0 && (answer.status == 429 || answer.status >= 500));
        if (!passing || x->got || tries == SOURCE_TRIES)
            return tell_source(r, r < 0 ? 0 : answer.status, x, &said, e);
        (void)usleep(SOURCE_PAUSE_US);
    }
}

static int read_any(struct tier_object *o, struct receiving *x, const atomic_int *cancel, struct error *e)
{
    const char *url = x->meta->url;
    char *bucket, *key;
    int ours = o->s3 ? s3_url_parse(o->s3, url, &bucket, &key) : 0;
    if (ours < 0)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    if (!ours && strncmp(url, "s3://", 5) == 0)
        return error_set(e, -ENOTSUP,
                         "is kept at %s, and object storage is not set up: set PERDURA_S3_ENDPOINT, AWS_ACCESS_KEY_ID "
                         "and AWS_SECRET_ACCESS_KEY",
                         url);
    if (!ours)
        return read_source(o, x, cancel, e);
    int r = read_s3(o, bucket, key, x, cancel, e);
    free(bucket);
    free(key);
    return r;
}

int tier_object_read(struct tier_object *o, const struct image_meta *meta, const struct fetch_sink *sink,
                     enum tier_object_haste haste, const atomic_int *cancel, struct error *e)
{
    struct receiving x = {.meta = meta, .sink = sink, .haste = haste};
    unsigned char sha256[DIGEST_SHA256_LEN];
    int r = digest_start(&x.sha256, DIGEST_SHA256);
    if (r < 0)
        return error_set_sentence(e, r, "out of memory");
    r = read_any(o, &x, cancel, e);
    int ended = digest_end(&x.sha256, r < 0 ? NULL : sha256);
    if (r == 0 && ended < 0)
        r = error_set(e, ended, "SHA-256 is not available in this OpenSSL");
    if (r == 0 && x.got != meta->size)
        r = error_set(e, -EBADMSG, "is damaged: its object has %lld bytes; its row says %lld", (long long)x.got,
                      (long long)meta->size);
    if (r == 0 && memcmp(sha256, meta->sha256, sizeof sha256) != 0) {
        char is[DIGEST_HEX_SIZE], says[DIGEST_HEX_SIZE];
        digest_hex(is, sha256);
        digest_hex(says, meta->sha256);
        r = error_set(e, -EBADMSG, "is damaged: its object has sha256 %.16s..., its row says %.16s...", is, says);
    }
    metric_inc(r == 0 ? METRIC_object_gets : METRIC_object_errors);
    if (r == 0)
        metric_add(METRIC_object_get_bytes, METRIC_none, METRIC_none, meta->size);
    return r;
}

/* Looking and removing */

int tier_object_look(struct tier_object *o, const struct image_meta *meta, struct error *e)
{
    const struct s3_call call = {.deadline_ms = clock_monotonic_ms() + PATIENCE_MS};
    struct s3_object object;
    struct error said;
    char *bucket, *key;
    int ours = o->s3 ? s3_url_parse(o->s3, meta->url, &bucket, &key) : 0;
    if (ours <= 0)
        return ours < 0 ? error_set_sentence(e, -ENOMEM, "out of memory") : 0;
    int r = judge(o, s3_head(o->s3, &call, bucket, key, &object, &said), 0, &said, e);
    free(bucket);
    free(key);
    if (r == 0 && object.size != meta->size)
        r = error_set(e, -EBADMSG, "is damaged: its object has %lld bytes; its row says %lld", (long long)object.size,
                      (long long)meta->size);
    return r;
}

int tier_object_remove(struct tier_object *o, const char *url, struct error *e)
{
    const struct s3_call call = {.deadline_ms = clock_monotonic_ms() + REMOVE_MS};
    struct error said;
    char *bucket, *key;
    int ours = o->s3 ? s3_url_parse(o->s3, url, &bucket, &key) : 0;
    if (ours <= 0)
        return error_set(e, ours < 0 ? -ENOMEM : -ENOTSUP, "%s",
                         ours < 0 ? "out of memory" : "object storage is not set up");
    int r = judge(o, s3_delete(o->s3, &call, bucket, key, &said), 0, &said, e);
    free(bucket);
    free(key);
    return r;
}

/* Status */

int tier_object_check(struct tier_object *o, int wait_ms, struct error *e)
{
    struct error said;
    if (!o->bucket)
        return 0;
    lock_take(&o->lock);
    int fresh = o->asked_ms && clock_monotonic_ms() - o->asked_ms < STATUS_FRESH_MS;
    int r = o->up ? 0 : -EHOSTDOWN;
    if (fresh && r < 0)
        error_set(e, r, "%s", o->why);
    lock_give(&o->lock);
    if (fresh)
        return r;
    const struct s3_call call = {.deadline_ms = clock_monotonic_ms() + wait_ms, .attempts = 1};
    return judge(o, s3_check(o->s3, &call, o->bucket, &said), 0, &said, e);
}

const char *tier_object_where(const struct tier_object *o, char ret[TIER_OBJECT_WHERE_SIZE])
{
    *ret = '\0';
    if (o->bucket)
        (void)snprintf(ret, TIER_OBJECT_WHERE_SIZE, "%.180s/%.64s", o->config->s3_endpoint, o->bucket);
    return ret;
}
