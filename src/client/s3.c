#include "client/s3.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/s3_request.h"
#include "codec/url.h"
#include "config/config.h"

#define URL_MAX        8192
#define PAUSE_FIRST_MS 200
#define PAUSE_MAX_MS   5000
#define NAP_MS         100 /* how soon a cancelled pause ends */

struct s3 {
    struct fetch_pool *pool;
    char *endpoint; /* without a slash at its end */
    char *region, *key_id, *secret;
    char *token_header; /* NULL: none */
};

/* Opening */

static int copy(char **ret, const char *text)
{
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int copy_settings(struct s3 *s3, const struct config *c)
{
    if (copy(&s3->endpoint, c->s3_endpoint) < 0 || copy(&s3->region, c->s3_region) < 0 ||
        copy(&s3->key_id, c->s3_key_id) < 0 || copy(&s3->secret, c->s3_secret) < 0)
        return -ENOMEM;
    if (c->s3_session_token && asprintf(&s3->token_header, "x-amz-security-token: %s", c->s3_session_token) < 0) {
        s3->token_header = NULL;
        return -ENOMEM;
    }
    for (size_t n = strlen(s3->endpoint); n && s3->endpoint[n - 1] == '/';)
        s3->endpoint[--n] = '\0';
    return 0;
}

int s3_open(struct s3 **ret, const struct config *config, struct error *e)
{
    struct s3 *s3 = calloc(1, sizeof *s3);
    if (!s3 || copy_settings(s3, config) < 0) {
        s3_close(s3);
        return error_set_sentence(e, -ENOMEM, "out of memory");
    }
    struct fetch_policy policy = {.origin = s3->endpoint, .ca_file = config->https_ca};
    int r = fetch_pool_open(&s3->pool, &policy, e);
    if (r < 0)
        s3_close(s3);
    else
        *ret = s3;
    return r;
}

void s3_close(struct s3 *s3)
{
    if (!s3)
        return;
    fetch_pool_close(s3->pool);
    free(s3->endpoint);
    free(s3->region);
    free(s3->key_id);
    if (s3->secret)
        explicit_bzero(s3->secret, strlen(s3->secret));
    free(s3->secret);
    free(s3->token_header);
    free(s3);
}

const char *s3_endpoint(const struct s3 *s3)
{
    return s3->endpoint;
}

const char *s3_region(const struct s3 *s3)
{
    return s3->region;
}

/* One request */

static int compose_url(const struct s3 *s3, const struct s3_request *request, struct buf *url)
{
    int r = buf_addf(url, "%s/", s3->endpoint);
    if (r == 0)
        r = url_encode_path(url, request->bucket, strlen(request->bucket));
    if (r == 0 && request->key) {
        r = buf_addstr(url, "/");
        if (r == 0)
            r = url_encode_path(url, request->key, strlen(request->key));
    }
    if (r == 0 && request->query)
        r = buf_addf(url, "?%s", request->query);
    return r;
}

static int compose_digest(char dst[128], const struct s3_request *request)
{
    unsigned char nothing[DIGEST_SHA256_LEN];
    char hex[DIGEST_HEX_SIZE];
    int r = request->sha256 ? 0 : digest_sha256("", 0, nothing);
    digest_hex(hex, request->sha256 ? request->sha256 : nothing);
    (void)snprintf(dst, 128, "x-amz-content-sha256: %s", hex);
    return r;
}

static int gather(void *arg, const void *bytes, size_t n)
{
    return buf_add(arg, bytes, n);
}

int s3_ask_once(struct s3 *s3, const struct s3_call *call, const struct s3_request *request, struct fetch_answer *ret,
                struct error *e)
{
    const char *headers[S3_HEADERS_MAX + 3] = {NULL};
    char digest[128];
    struct buf url;
    int n = 0;
    buf_init(&url, URL_MAX);
    int r = compose_url(s3, request, &url);
    if (r == 0)
        r = compose_digest(digest, request);
    if (r < 0) {
        buf_release(&url);
        return error_set_sentence(e, r == -EMSGSIZE ? -EINVAL : r, "%s",
                                  r == -EMSGSIZE ? "the key is too long" : strerror(-r));
    }
    headers[n++] = digest;
    if (s3->token_header)
        headers[n++] = s3->token_header;
    for (int i = 0; i < S3_HEADERS_MAX && request->headers[i]; i++)
        headers[n++] = request->headers[i];
    struct fetch_sink sink = {.write = gather, .arg = request->gathered};
    if (request->gathered)
        buf_reset(request->gathered);
    struct fetch_signature signature = {.region = s3->region, .key_id = s3->key_id, .secret = s3->secret};
    struct fetch_request f = {.method = request->method,
                              .url = url.data,
                              .headers = headers,
                              .body = request->body,
                              .sink = request->gathered ? &sink : request->sink,
                              .max_bytes = INT64_MAX,
                              .signature = &signature,
                              .connect_ms = call->connect_ms,
                              .stalled_s = call->stalled_s,
                              .deadline_ms = call->deadline_ms,
                              .begin_by_ms = request->sink ? request->begin_by_ms : 0,
                              .cancel = call->cancel};
    r = fetch(s3->pool, &f, ret, e);
    buf_release(&url);
    return r;
}

/* Again */

static int is_cancelled(const struct s3_call *call)
{
    return call->cancel && atomic_load(call->cancel);
}

/* Half of it by chance, so that many who failed together do not come back together. */
static int64_t pause_ms(int tries)
{
    int64_t ms = PAUSE_FIRST_MS;
    uint32_t chance = 0;
    while (--tries > 0 && ms < PAUSE_MAX_MS)
        ms *= 2;
    if (ms > PAUSE_MAX_MS)
        ms = PAUSE_MAX_MS;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = (uint32_t)clock_monotonic_us();
    return ms / 2 + chance % (ms / 2 + 1);
}

static int may_pass(const struct s3_call *call, int code, const struct fetch_answer *answer)
{
    struct s3_xml_error why;
    if (code == -ETIMEDOUT)
        return !call->begin_by_ms;
    if (code < 0)
        return code == -ENOTCONN || code == -ECONNRESET || code == -ENODATA;
    if (answer->status == 429 || (answer->status >= 500 && answer->status != 501))
        return 1;
    return answer->status == 400 && s3_xml_error(answer->detail, answer->detail_len, &why) == 0 &&
           strcmp(why.code, "RequestTimeout") == 0;
}

int s3_wait(struct s3_patience *p, const struct s3_call *call, int code, const struct fetch_answer *answer)
{
    if (is_cancelled(call))
        return -ECANCELED;
    if (!may_pass(call, code, answer) || ++p->tries >= (call->attempts ? call->attempts : S3_ATTEMPTS))
        return 0;
    int64_t ms = pause_ms(p->tries);
    if (code == 0 && answer->retry_after_s * 1000 > ms)
        ms = answer->retry_after_s * 1000;
    int64_t until_ms = clock_monotonic_ms() + ms;
    if (until_ms >= call->deadline_ms || (p->begin_by_ms && until_ms >= p->begin_by_ms))
        return 0;
    for (int64_t left_ms; (left_ms = until_ms - clock_monotonic_ms()) > 0;) {
        struct timespec nap = {.tv_nsec = (left_ms < NAP_MS ? left_ms : NAP_MS) * 1000000};
        if (is_cancelled(call))
            return -ECANCELED;
        (void)nanosleep(&nap, NULL);
    }
    return 1;
}

/* Whether this is how such a request succeeds: no condition and no range is in any of them. */
static int is_done(enum fetch_method method, int status)
{
    switch (method) {
    case FETCH_PUT:
        return status == 200 || status == 201 || status == 204;
    case FETCH_DELETE:
        return status == 200 || status == 202 || status == 204;
    default:
        return status == 200;
    }
}

int s3_ask(struct s3 *s3, const struct s3_call *call, const struct s3_request *request, struct fetch_answer *ret,
           struct error *e)
{
    struct s3_patience patience = {.tries = 0};
    ret->status = 0;
    ret->retry_after_s = -1;
    for (;;) {
        int r = s3_ask_once(s3, call, request, ret, e);
        if (r == 0 && is_done(request->method, ret->status))
            return 0;
        int again = s3_wait(&patience, call, r, ret);
        if (again < 0)
            return error_set_sentence(e, again, "cancelled");
        if (!again)
            return r < 0 ? s3_tell_broken(s3, r, e) : s3_tell(s3, request, ret, e);
    }
}

/* Pieces that several calls use */

void s3_object_from(struct s3_object *ret, const struct fetch_answer *a)
{
    *ret = (struct s3_object){.size = a->status == 206 ? a->whole_length : a->length, .not_modified = a->status == 304};
    memcpy(ret->etag, a->etag, sizeof ret->etag);
    memcpy(ret->content_type, a->content_type, sizeof ret->content_type);
    memcpy(ret->last_modified, a->last_modified, sizeof ret->last_modified);
    memcpy(ret->cache_control, a->cache_control, sizeof ret->cache_control);
}

int s3_head(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, struct s3_object *ret,
            struct error *e)
{
    struct s3_request request = {.method = FETCH_HEAD, .bucket = bucket, .key = key};
    struct fetch_answer answer;
    int r = s3_ask(s3, call, &request, &answer, e);
    if (r == 0)
        s3_object_from(ret, &answer);
    return r;
}

int s3_delete(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, struct error *e)
{
    struct s3_request request = {.method = FETCH_DELETE, .bucket = bucket, .key = key};
    struct fetch_answer answer;
    struct error why;
    int r = s3_ask(s3, call, &request, &answer, &why);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? error_pass(e, r, &why) : 0;
}

/* Where the bucket's name begins, NULL when the URL leads elsewhere; *ret_raw: the key is escaped. */
static const char *behind_endpoint(const struct s3 *s3, const char *url, int *ret_raw)
{
    size_t n = strlen(s3->endpoint);
    *ret_raw = strncmp(url, "s3://", 5) != 0;
    if (!*ret_raw)
        return url + 5;
    return strncasecmp(url, s3->endpoint, n) == 0 && url[n] == '/' ? url + n + 1 : NULL;
}

int s3_url_parse(const struct s3 *s3, const char *url, char **ret_bucket, char **ret_key)
{
    int raw;
    const char *bucket = behind_endpoint(s3, url, &raw), *slash = bucket ? strchr(bucket, '/') : NULL;
    if (!slash || slash == bucket || !slash[1])
        return 0;
    char *name = strndup(bucket, (size_t)(slash - bucket)), *key = strdup(slash + 1);
    int r = name && key ? 0 : -ENOMEM;
    if (r == 0 && raw)
        r = url_decode_path(key, NULL, slash + 1, strlen(slash + 1), NULL);
    if (r < 0) {
        free(name);
        free(key);
        return r == -ENOMEM ? r : 0;
    }
    *ret_bucket = name;
    *ret_key = key;
    return 1;
}
