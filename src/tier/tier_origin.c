#include "tier/tier_origin.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/lock.h"
#include "client/http_fetch.h"
#include "client/s3.h"
#include "codec/httpdate.h"
#include "codec/url.h"
#include "config/s3_settings.h"

#define FAILURES_MAX   2 /* in a row, and it is left alone */
#define REST_FIRST_MS  1000
#define REST_MAX_MS    30000
#define ASKED_REST_S   60 /* Retry-After is obeyed up to here */
#define URL_MAX        8192
#define CONDITION_SIZE (COPY_ETAG_SIZE + 32)

/* How long is waited, with something to serve meanwhile and without: for a connection, for the first byte, all tries
 * included, for more bytes (1 KiB a second counts as that), and for all. libcurl looks at them once a second: who waits
 * without a copy is answered within 5 s when nothing comes, and a transfer that moves has a minute. */
static const struct patience {
    int connect_ms, begin_ms, stalled_s, all_ms, tries;
} with_copy = {2000, 3000, 3, 20000, 1}, without_copy = {3000, 4000, 4, 60000, 2};

/* One origin, and how it did lately. */
struct origin_place {
    const struct image_origin *origin;
    struct lock lock;
    int failures; /* in a row */
    int is_down;
    int is_tried; /* while it is down: by one, after its rest */
    int64_t rest_ms, rests_until_ms;
};

struct tier_origin {
    const struct config *config;
    struct s3 *s3;          /* NULL: settings are missing */
    struct fetch_pool *web; /* NULL: no origin is on the web */
    tier_origin_changed_fn *changed;
    void *changed_arg;
    atomic_int cancelled;
    size_t count;
    struct origin_place places[];
};

/* Life */

int tier_origin_open(struct tier_origin **ret, const struct config *config, tier_origin_changed_fn *changed, void *arg,
                     struct error *e)
{
    size_t count = config->image_origins_len;
    struct tier_origin *o = calloc(1, sizeof *o + count * sizeof o->places[0]);
    const struct fetch_policy policy = fetch_policy_sources(config);
    int r = 0;
    if (!o)
        return error_set(e, -ENOMEM, "out of memory");
    o->config = config;
    o->changed = changed;
    o->changed_arg = arg;
    for (; o->count < count; o->count++) {
        o->places[o->count].origin = &config->image_origins[o->count];
        lock_init(&o->places[o->count].lock, LOCK_origin);
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        int is_web = config->image_origins[i].kind == IMAGE_ORIGIN_WEB;
        if (is_web && !o->web)
            r = fetch_pool_open(&o->web, &policy, e);
        else if (!is_web && !o->s3 && !s3_settings_missing(config))
            r = s3_open(&o->s3, config, e);
    }
    if (r < 0)
        tier_origin_close(o);
    else
        *ret = o;
    return r;
}

void tier_origin_close(struct tier_origin *o)
{
    if (!o)
        return;
    s3_close(o->s3);
    fetch_pool_close(o->web);
    for (size_t i = 0; i < o->count; i++)
        lock_destroy(&o->places[i].lock);
    free(o);
}

void tier_origin_cancel(struct tier_origin *o, int cancelled)
{
    atomic_store(&o->cancelled, cancelled);
}

/* Leaving alone */

static struct origin_place *find(struct tier_origin *o, const char *collection)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->places[i].origin->collection, collection) == 0)
            return &o->places[i];
    return NULL;
}

int tier_origin_unavailable(int code)
{
    return code == -EHOSTDOWN || code == -ENOTCONN || code == -ETIMEDOUT || code == -ECONNRESET || code == -ENODATA ||
           code == -EPROTO;
}

int tier_origin_is_up(struct tier_origin *o, const char *collection)
{
    struct origin_place *p = find(o, collection);
    if (!p)
        return 0;
    lock_take(&p->lock);
    int up = clock_monotonic_ms() >= p->rests_until_ms;
    lock_give(&p->lock);
    return up;
}

/* After its rest, one tries; the others go on as if it still rested until that one knows. */
static int may_ask(struct origin_place *p, const struct patience *patience)
{
    int64_t now_ms = clock_monotonic_ms();
    lock_take(&p->lock);
    int may = now_ms >= p->rests_until_ms;
    if (may && p->is_down) {
        p->is_tried = 1;
        p->rests_until_ms = now_ms + patience->connect_ms + patience->stalled_s * 1000;
    }
    lock_give(&p->lock);
    return may;
}

static void note_answer(const struct tier_origin *o, struct origin_place *p)
{
    lock_take(&p->lock);
    int was_down = p->is_down;
    p->failures = p->is_down = p->is_tried = 0;
    p->rest_ms = p->rests_until_ms = 0;
    lock_give(&p->lock);
    if (was_down)
        o->changed(o->changed_arg, p->origin->collection, 1, "");
}

/* With the lock. */
static void rest(struct origin_place *p, int64_t at_least_ms)
{
    p->rest_ms = p->rest_ms ? 2 * p->rest_ms : REST_FIRST_MS;
    if (p->rest_ms > REST_MAX_MS)
        p->rest_ms = REST_MAX_MS;
    p->rests_until_ms = clock_monotonic_ms() + (p->rest_ms > at_least_ms ? p->rest_ms : at_least_ms);
    p->is_down = 1;
    p->is_tried = 0;
}

/* Of those who asked together, the later ones tell nothing new. */
static void note_failure(const struct tier_origin *o, struct origin_place *p, int64_t retry_after_s,
                         const struct error *why)
{
    if (retry_after_s > ASKED_REST_S)
        retry_after_s = ASKED_REST_S;
    lock_take(&p->lock);
    int was_down = p->is_down;
    p->failures++;
    if (was_down ? p->is_tried : p->failures >= FAILURES_MAX || retry_after_s > 0)
        rest(p, retry_after_s * 1000);
    int is_down = p->is_down;
    lock_give(&p->lock);
    if (is_down && !was_down)
        o->changed(o->changed_arg, p->origin->collection, 0, why->text);
}

/* A bucket */

struct from_s3 {
    const struct tier_origin_taker *taker;
};

static int begin_s3(void *arg, const struct s3_object *object)
{
    const struct from_s3 *x = arg;
    return x->taker->begin(x->taker->arg, object->size);
}

static int write_s3(void *arg, const void *bytes, size_t n)
{
    const struct from_s3 *x = arg;
    return x->taker->write(x->taker->arg, bytes, n);
}

static int64_t modified_of(const char *last_modified, int64_t date_s)
{
    int64_t now_s = clock_realtime_us() / 1000000, s;
    if (httpdate_parse(last_modified, now_s, &s) == 0)
        return s;
    return date_s >= 0 ? date_s : now_s;
}

static int get_from_s3(struct tier_origin *o, const struct origin_place *p, const struct image_key *key,
                       const struct image_meta *known, const struct patience *patience,
                       const struct tier_origin_taker *taker, struct tier_origin_answer *ret, struct error *e)
{
    struct from_s3 x = {taker};
    struct s3_object object;
    char *name;
    const struct s3_call call = {.deadline_ms = clock_monotonic_ms() + patience->all_ms,
                                 .attempts = patience->tries,
                                 .cancel = &o->cancelled,
                                 .connect_ms = patience->connect_ms,
                                 .stalled_s = patience->stalled_s,
                                 .begin_by_ms = clock_monotonic_ms() + patience->begin_ms};
    const struct s3_read read = {.if_none_match = known ? known->etag : NULL,
                                 .len = -1,
                                 .max_bytes = o->config->max_upload_bytes,
                                 .begin = begin_s3,
                                 .sink = {.write = write_s3, .arg = &x}};
    if (!o->s3)
        return error_set(e, -ENODEV, "the bucket of \"%s\" can't be asked: set %s", key->collection,
                         s3_settings_missing(o->config));
    if (asprintf(&name, "%s%s", p->origin->prefix, key->path) < 0)
        return error_set(e, -ENOMEM, "out of memory");
    int r = s3_get(o->s3, &call, p->origin->bucket, name, &read, &object, e);
    if (r == -ESTALE) /* replaced while it came: from the start, once */
        r = s3_get(o->s3, &call, p->origin->bucket, name, &read, &object, e);
    free(name);
    if (r < 0)
        return r;
    ret->not_modified = object.not_modified;
    ret->end_unseen = object.end_unseen;
    (void)snprintf(ret->etag, sizeof ret->etag, "%s", object.etag);
    ret->modified_s = modified_of(object.last_modified, -1);
    return 0;
}

/* The web */

struct from_web {
    const struct tier_origin_taker *taker;
    struct fetch_answer answer;
    int begun;
};

static int begin_web(struct from_web *x)
{
    if (x->begun)
        return 0;
    if (x->answer.status != 200)
        return -EBADE; /* a part, which nobody has asked for */
    x->begun = 1;
    return x->taker->begin(x->taker->arg, x->answer.length);
}

static int write_web(void *arg, const void *bytes, size_t n)
{
    struct from_web *x = arg;
    int r = begin_web(x);
    return r < 0 ? r : x->taker->write(x->taker->arg, bytes, n);
}

static int judge_web(struct from_web *x, int is_conditional, const char *collection, struct error *e)
{
    int status = x->answer.status;
    if (status == 200) {
        int r = begin_web(x); /* an empty body never came to the sink */
        return r < 0 ? error_set(e, r, "was not taken: %s", strerror(-r)) : 0;
    }
    if (status == 304 && is_conditional)
        return 0;
    if (status == 404 || status == 410)
        return error_set(e, -ENOENT, "the origin of \"%s\" has no such image", collection);
    if (status == 429 || status >= 500)
        return error_set(e, -ENOTCONN, "the origin of \"%s\" can't serve now (status %d)", collection, status);
    return error_set(e, status == 401 || status == 403 ? -EACCES : -EBADE,
                     "the origin of \"%s\" answers with status %d", collection, status);
}

static int ask_web(struct tier_origin *o, struct from_web *x, const char *url, const struct image_meta *known,
                   const struct patience *patience, int64_t begun_ms, struct error *e)
{
    char none_match[CONDITION_SIZE], since[CONDITION_SIZE], date[HTTPDATE_SIZE];
    const char *headers[3] = {NULL};
    int n = 0;
    if (known && known->etag) {
        (void)snprintf(none_match, sizeof none_match, "If-None-Match: %s", known->etag);
        headers[n++] = none_match;
    }
    if (known) {
        (void)snprintf(since, sizeof since, "If-Modified-Since: %s",
                       httpdate_format(date, known->mtime_ns / 1000000000));
        headers[n] = since;
    }
    const struct fetch_sink sink = {.write = write_web, .arg = x};
    const struct fetch_request request = {.method = FETCH_GET,
                                          .url = url,
                                          .headers = headers,
                                          .sink = &sink,
                                          .max_bytes = o->config->max_upload_bytes,
                                          .connect_ms = patience->connect_ms,
                                          .stalled_s = patience->stalled_s,
                                          .deadline_ms = begun_ms + patience->all_ms,
                                          .begin_by_ms = begun_ms + patience->begin_ms,
                                          .cancel = &o->cancelled};
    x->begun = 0;
    return fetch(o->web, &request, &x->answer, e);
}

static int get_from_web(struct tier_origin *o, const struct origin_place *p, const struct image_key *key,
                        const struct image_meta *known, const struct patience *patience,
                        const struct tier_origin_taker *taker, struct tier_origin_answer *ret, int64_t *ret_retry_s,
                        struct error *e)
{
    struct from_web x = {.taker = taker};
    int64_t begun_ms = clock_monotonic_ms();
    struct buf url;
    buf_init(&url, URL_MAX);
    int r = buf_addstr(&url, p->origin->url);
    if (r == 0)
        r = url_encode_path(&url, key->path, strlen(key->path));
    if (r < 0)
        r = error_set(e, r == -ENOMEM ? r : -EINVAL, "%s", r == -ENOMEM ? "out of memory" : "the URL is too long");
    for (int tries = 0; r == 0 && tries < patience->tries; tries++) {
        r = ask_web(o, &x, url.data, known, patience, begun_ms, e);
        if ((r != -ECONNRESET && r != -ENODATA) || tries + 1 == patience->tries)
            break;
        r = 0;
    }
    buf_release(&url);
    if (r == 0)
        r = judge_web(&x, known != NULL, key->collection, e);
    *ret_retry_s = r == -ENOTCONN && x.answer.retry_after_s > 0 ? x.answer.retry_after_s : 0;
    if (r < 0)
        return r;
    ret->not_modified = x.answer.status == 304;
    ret->end_unseen = x.answer.end == FETCH_END_BY_CLOSE;
    (void)snprintf(ret->etag, sizeof ret->etag, "%s", x.answer.etag);
    ret->modified_s = modified_of(x.answer.last_modified, x.answer.date_s);
    return 0;
}

int tier_origin_get(struct tier_origin *o, const struct image_key *key, const struct image_meta *known,
                    const struct tier_origin_taker *taker, struct tier_origin_answer *ret, struct error *e)
{
    const struct patience *patience = known ? &with_copy : &without_copy;
    struct origin_place *p = find(o, key->collection);
    struct error why = {0};
    int64_t retry_s = 0;
    if (!p)
        return error_set(e, -ENOENT, "\"%s\" has no origin", key->collection);
    if (!may_ask(p, patience))
        return error_set(e, -EHOSTDOWN, "the origin of \"%s\" did not answer a moment ago", key->collection);
    int r = p->origin->kind == IMAGE_ORIGIN_S3 ? get_from_s3(o, p, key, known, patience, taker, ret, &why)
                                               : get_from_web(o, p, key, known, patience, taker, ret, &retry_s, &why);
    if (tier_origin_unavailable(r))
        note_failure(o, p, retry_s, &why);
    else if (r != -ECANCELED && r != -ENOMEM)
        note_answer(o, p);
    if (r < 0 && e)
        *e = why;
    return r;
}
