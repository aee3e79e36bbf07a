#include "client/http_fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "client/http_fetch_answer.h"
#include "client/http_fetch_url.h"
#include "client/net_address.h"

#define IDLE_MAX      16 /* connections kept, each with its handle */
#define CONNECT_MS    10000
#define STALLED_S     30
#define TRICKLE_BYTES 1024 /* a second */
#define BUFFER_BYTES  (128L << 10)
#define DETAIL_MAX    (1 << 20) /* of the body of an error: more of it is not waited for */

struct fetch_pool {
    struct fetch_policy policy; /* its texts are the pool's own */
    struct lock lock;
    CURL *idle[IDLE_MAX];
    int idle_len;
};

/* One transfer, as libcurl's callbacks see it. */
struct transfer {
    struct fetch_pool *pool;
    const struct fetch_request *request;
    struct fetch_answer *answer;
    CURL *curl;
    char host[128];
    char why[CURL_ERROR_SIZE];
    const char *refused; /* what the last address was that was not connected to; NULL: none */
    int64_t sent, received;
    size_t head_bytes;
    int64_t detail_bytes;
    int64_t moved_ms, moved_bytes; /* when the last 1 KiB had come, and what had come by then */
    int failed;                    /* of a callback: -errno */
};

static int stalled_s(const struct fetch_request *request)
{
    return request->stalled_s ? request->stalled_s : STALLED_S;
}

/* Callbacks */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = arg;
    const struct fetch_policy *policy = &t->pool->policy;
    const char *refused = policy->origin || policy->private_allowed ? NULL : net_address_refused(&address->addr);
    (void)purpose;
    if (refused) {
        t->refused = refused;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t read_body(char *dst, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    const struct fetch_body *body = t->request->body;
    int64_t left = body->len - t->sent;
    size_t room = size * n;
    if (left <= 0 || room == 0)
        return 0;
    long got = body->read_at(body->arg, t->sent, dst, (int64_t)room < left ? room : (size_t)left);
    if (got <= 0) {
        t->failed = got < 0 ? (int)got : -EIO;
        return CURL_READFUNC_ABORT;
    }
    t->sent += got;
    return (size_t)got;
}

/* A connection that was kept turned out to be closed: libcurl sends all again over another one. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
    struct transfer *t = arg;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    t->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    t->head_bytes += size * n;
    if (t->head_bytes > FETCH_HEAD_MAX) {
        t->failed = -EBADE;
        return 0;
    }
    fetch_answer_line(t->answer, line, size * n);
    return size * n;
}

static int has_content(const struct fetch_answer *answer)
{
    return answer->status == 200 || answer->status == 206;
}

static size_t write_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    const struct fetch_request *request = t->request;
    n *= size;
    if (!has_content(t->answer)) {
        fetch_answer_detail(t->answer, bytes, n);
        t->detail_bytes += (int64_t)n;
        return t->detail_bytes > DETAIL_MAX ? CURL_WRITEFUNC_ERROR : n;
    }
    if (t->answer->contradicts) {
        t->failed = -EBADE;
        return CURL_WRITEFUNC_ERROR;
    }
    if (!request->sink)
        return n;
    t->received += (int64_t)n;
    t->failed = t->received > request->max_bytes ? -EFBIG : request->sink->write(request->sink->arg, bytes, n);
    return t->failed ? CURL_WRITEFUNC_ERROR : n;
}

/* Of a transfer that is waited for. libcurl's own limit is about the average of several seconds. */
static int has_stalled(struct transfer *t)
{
    const struct fetch_request *request = t->request;
    int64_t now_ms = clock_monotonic_ms();
    if (!t->received)
        return now_ms >= request->begin_by_ms;
    if (!t->moved_ms || t->received - t->moved_bytes >= TRICKLE_BYTES) {
        t->moved_ms = now_ms;
        t->moved_bytes = t->received;
    }
    return now_ms - t->moved_ms >= stalled_s(request) * 1000;
}

/* At least once a second. */
static int look_up(void *arg, curl_off_t to_come, curl_off_t here, curl_off_t to_go, curl_off_t gone)
{
    struct transfer *t = arg;
    const struct fetch_request *request = t->request;
    (void)to_come, (void)here, (void)to_go, (void)gone;
    if (request->begin_by_ms && has_stalled(t)) {
        t->failed = -ETIMEDOUT;
        return 1;
    }
    return request->cancel && atomic_load(request->cancel);
}

/* Handles */

static void set_method(CURL *curl, struct transfer *t)
{
    const struct fetch_request *request = t->request;
    int64_t len = request->body ? request->body->len : 0;
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_body);
    curl_easy_setopt(curl, CURLOPT_READDATA, t);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_body);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, t);
    switch (request->method) {
    case FETCH_GET:
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
        break;
    case FETCH_HEAD:
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
        break;
    case FETCH_PUT:
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)len);
        break;
    case FETCH_POST:
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        if (!len)
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        break;
    case FETCH_DELETE:
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    }
}

static void set_callbacks(CURL *curl, struct transfer *t)
{
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->why);
}

static void set_rules(CURL *curl, const struct fetch_policy *policy)
{
    int plain = policy->origin ? strncmp(policy->origin, "http:", 5) == 0 : policy->private_allowed;
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (policy->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, policy->ca_file);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "perdura/" PERDURA_VERSION);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
}

static void set_limits(CURL *curl, const struct fetch_request *request)
{
    int left_ms = clock_left_ms(request->deadline_ms);
    int connect_ms = request->connect_ms ? request->connect_ms : CONNECT_MS;
    if (request->begin_by_ms && clock_left_ms(request->begin_by_ms) < connect_ms)
        connect_ms = clock_left_ms(request->begin_by_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms > 0 ? (long)left_ms : 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms > 0 ? (long)connect_ms : 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)TRICKLE_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)stalled_s(request));
}

static int set_signature(CURL *curl, const struct fetch_signature *s)
{
    char provider[128];
    int n = snprintf(provider, sizeof provider, "aws:amz:%s:s3", s->region);
    if (n < 0 || (size_t)n >= sizeof provider)
        return -EINVAL;
    if (curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, provider) || curl_easy_setopt(curl, CURLOPT_USERNAME, s->key_id) ||
        curl_easy_setopt(curl, CURLOPT_PASSWORD, s->secret))
        return -ENOMEM;
    return 0;
}

static int set_headers(CURL *curl, const char *const *headers, struct curl_slist **ret)
{
    struct curl_slist *list = NULL;
    for (; headers && *headers; headers++) {
        struct curl_slist *longer = curl_slist_append(list, *headers);
        if (!longer) {
            curl_slist_free_all(list);
            return -ENOMEM;
        }
        list = longer;
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    *ret = list;
    return 0;
}

static CURL *take_handle(struct fetch_pool *pool)
{
    lock_take(&pool->lock);
    CURL *curl = pool->idle_len ? pool->idle[--pool->idle_len] : NULL;
    lock_give(&pool->lock);
    return curl ? curl : curl_easy_init();
}

static void give_handle(struct fetch_pool *pool, CURL *curl)
{
    curl_easy_reset(curl);
    lock_take(&pool->lock);
    int kept = pool->idle_len < IDLE_MAX;
    if (kept)
        pool->idle[pool->idle_len++] = curl;
    lock_give(&pool->lock);
    if (!kept)
        curl_easy_cleanup(curl);
}

/* What came of it */

static int tell(const struct transfer *t, CURLcode code, struct error *e)
{
    const char *why = *t->why ? t->why : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_READ_ERROR:
    case CURLE_WRITE_ERROR:
        if (t->failed == -EFBIG && t->received > t->request->max_bytes)
            return error_set_sentence(e, -EFBIG, "%s: answers with more than the %lld bytes that are accepted", t->host,
                                      (long long)t->request->max_bytes);
        if (t->detail_bytes > DETAIL_MAX)
            return 0; /* the status says enough */
        if (t->failed == -EBADE)
            return error_set_sentence(e, -EBADE, "%s: the head of the answer %s", t->host,
                                      t->answer->contradicts ? "contradicts itself" : "is too large");
        if (t->failed == -ETIMEDOUT)
            return error_set_sentence(e, -ETIMEDOUT, "%s: takes too long to answer", t->host);
        if (t->failed)
            return error_set_sentence(e, t->failed, "%s: the transfer was given up: %s", t->host, strerror(-t->failed));
        return error_set_sentence(e, -ECANCELED, "%s: cancelled", t->host);
    case CURLE_COULDNT_CONNECT:
        if (t->refused)
            return error_set_sentence(e, -EPERM, "%s is %s: nothing is fetched from there", t->host, t->refused);
        return error_set_sentence(e, -ENOTCONN, "%s: %s", t->host, why);
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set_sentence(e, -ENOTCONN, "%s: %s", t->host, why);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set_sentence(e, -ETIMEDOUT, "%s: %s", t->host, why);
    case CURLE_OUT_OF_MEMORY: /* what libcurl says of a line of 100 KB, too */
        if (t->head_bytes)
            return error_set_sentence(e, -EBADE, "%s: the head of the answer is too large", t->host);
        return error_set_sentence(e, -ENOMEM, "out of memory");
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return error_set_sentence(e, t->answer->status ? -ENODATA : -ECONNRESET, "%s: the transfer broke: %s", t->host,
                                  why);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: /* a Transfer-Encoding, too */
#if CURL_AT_LEAST_VERSION(8, 6, 0)
    case CURLE_TOO_LARGE: /* a line of the head */
#endif
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
        return error_set_sentence(e, -EBADE, "%s: %s", t->host, why);
    default:
        return error_set_sentence(e, -EPROTO, "%s: %s", t->host, why);
    }
}

/* One request and its answer; a redirect is an answer. *ret_next, to be freed, is where one leads. */
static int hop(struct transfer *t, const char *text, char **ret_next, struct error *e)
{
    const struct fetch_request *request = t->request;
    struct curl_slist *headers = NULL;
    CURLU *url;
    char *next = NULL;
    int r = fetch_url_open(&url, &t->pool->policy, text, t->host, e);
    if (r < 0)
        return r;
    CURL *curl = take_handle(t->pool);
    if (curl)
        r = set_headers(curl, request->headers, &headers);
    if (curl && r == 0 && request->signature)
        r = set_signature(curl, request->signature);
    if (!curl || r < 0) {
        r = error_set_sentence(e, r < 0 ? r : -ENOMEM, "%s", r == -EINVAL ? "AWS_REGION is too long" : "out of memory");
    } else {
        set_rules(curl, &t->pool->policy);
        set_limits(curl, request);
        set_callbacks(curl, t);
        set_method(curl, t);
        curl_easy_setopt(curl, CURLOPT_CURLU, url);
        r = tell(t, curl_easy_perform(curl), e);
        if (r == 0 && t->answer->contradicts)
            r = error_set_sentence(e, -EBADE, "%s: the head of the answer contradicts itself", t->host);
        if (r == 0 && !curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next) && next) {
            next = strdup(next);
            r = next ? 0 : error_set_sentence(e, -ENOMEM, "out of memory");
        }
    }
    if (curl)
        give_handle(t->pool, curl);
    curl_slist_free_all(headers);
    curl_url_cleanup(url);
    if (r == 0)
        *ret_next = next;
    return r;
}

static int follows(const struct transfer *t)
{
    return !t->pool->policy.origin && (t->request->method == FETCH_GET || t->request->method == FETCH_HEAD);
}

int fetch(struct fetch_pool *pool, const struct fetch_request *request, struct fetch_answer *ret, struct error *e)
{
    char *at = NULL;
    int r = 0, hops = 0;
    if (request->signature && !pool->policy.origin)
        return error_set_sentence(e, -EPERM, "nothing is signed for a host that was not set up");
    for (;;) {
        struct transfer t = {.pool = pool, .request = request, .answer = ret};
        char *next = NULL;
        fetch_answer_init(ret);
        r = hop(&t, at ? at : request->url, &next, e);
        free(at);
        at = next;
        if (r < 0 || !at || !follows(&t))
            break;
        if (++hops > FETCH_REDIRECTS_MAX) {
            r = error_set_sentence(e, -EPERM, "%s: redirects more than %d times", t.host, FETCH_REDIRECTS_MAX);
            break;
        }
    }
    free(at);
    return r;
}

/* Pools */

static void start_libcurl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int copy_text(const char *text, const char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

int fetch_pool_open(struct fetch_pool **ret, const struct fetch_policy *policy, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_libcurl);
    struct fetch_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    lock_init(&pool->lock, LOCK_http_pool);
    pool->policy.private_allowed = policy->private_allowed;
    if (copy_text(policy->origin, &pool->policy.origin) < 0 || copy_text(policy->allowed, &pool->policy.allowed) < 0 ||
        copy_text(policy->ca_file, &pool->policy.ca_file) < 0) {
        fetch_pool_close(pool);
        return error_set_sentence(e, -ENOMEM, "out of memory");
    }
    *ret = pool;
    return 0;
}

void fetch_pool_close(struct fetch_pool *pool)
{
    if (!pool)
        return;
    while (pool->idle_len)
        curl_easy_cleanup(pool->idle[--pool->idle_len]);
    lock_destroy(&pool->lock);
    free((char *)pool->policy.origin);
    free((char *)pool->policy.allowed);
    free((char *)pool->policy.ca_file);
    free(pool);
}

int fetch_check_url(struct fetch_pool *pool, const char *url, struct error *e)
{
    CURLU *parsed;
    char host[128];
    int r = fetch_url_open(&parsed, &pool->policy, url, host, e);
    if (r == 0)
        curl_url_cleanup(parsed);
    return r;
}
