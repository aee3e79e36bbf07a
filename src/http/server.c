/* libmicrohttpd carries requests and answers; what they mean is decided elsewhere.
 *
 *     connection: accepted -> head -> body -> answering -> head ...
 *
 * Each of these has a deadline of our own (http/conn_timeout.h).
 *
 * libmicrohttpd calls `handle` once when the head is there, then for pieces of the body, then once more: only in that
 * last call may a request be answered without losing the connection, so whatever is refused is answered in the first
 * one, before any of the body is read. A handler that has to wait suspends the connection; libmicrohttpd calls again
 * after http_done. */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "config/config.h"
#include "http/body.h"
#include "http/body_room.h"
#include "http/conn_timeout.h"
#include "http/daemons.h"
#include "http/pools.h"
#include "http/request_check.h"
#include "http/response.h"
#include "http/router.h"
#include "http/server_internal.h"
#include "http/upload_form.h"
#include "store/store.h"
#include "store/store_object.h"

#define CONNECTIONS_MAX   20000
#define SPARE_DESCRIPTORS 256
/* Older releases send the answer to a request without Host twice: request_check refuses it. */
#define STRICTNESS        (MHD_VERSION < 0x00097701 ? 0 : 1)
#define CONNECTION_MEMORY (16 << 10) /* the head has to fit, twice over */
#define LOGIN_BODY_MAX    (8 << 10)
#define SMALL_BODY_MAX    (1 << 20)
#define SLACK             (16 << 10) /* of a body where none is taken, so that its sender is told */
#define STREAM_BLOCK      4096
#define RETRY_AFTER_S     2

struct request {
    struct http_transaction x;
    struct http_server *server;
    struct MHD_Connection *connection;
    struct conn_timer *timer;
    const char *sent_uri; /* inside libmicrohttpd's buffer; for request_check only */
    int64_t body_limit, body_bytes;
    enum body_sender sender;
    struct body_hold hold; /* of the body's room */
    int64_t sent_bytes;
    int64_t announced; /* of the body, as its headers say; -1: they do not */
    int begun, admitting, handed_over, answered, held_back;
};

static struct request *request_of(struct http_transaction *x)
{
    return x->carrier;
}

const char *http_header(const struct http_transaction *x, const char *name)
{
    const struct request *r = x->carrier;
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* RFC 9112, section 3.2.2: the target's own comes first. */
const char *http_host(const struct http_transaction *x, size_t *ret_len)
{
    const char *host = x->host_len ? x->raw_path - x->host_len : http_header(x, "Host");
    *ret_len = x->host_len ? x->host_len : host ? strlen(host) : 0;
    return host;
}

struct list {
    const char *name;
    struct buf values;
};

static enum MHD_Result add_value(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct list *list = arg;
    (void)kind;
    if (strcasecmp(name, list->name) == 0 && value &&
        ((list->values.len && buf_addstr(&list->values, ", ") < 0) || buf_addstr(&list->values, value) < 0))
        return MHD_NO;
    return MHD_YES;
}

char *http_header_list(const struct http_transaction *x, const char *name)
{
    const struct request *r = x->carrier;
    struct list list = {.name = name};
    buf_init(&list.values, CONNECTION_MEMORY);
    (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, add_value, &list);
    return list.values.data;
}

void http_peer(const struct http_transaction *x, unsigned char ret[16])
{
    const struct request *r = x->carrier;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info->client_addr;
    memset(ret, 0, 16);
    if (address->sa_family == AF_INET6) {
        memcpy(ret, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    } else if (address->sa_family == AF_INET) {
        ret[10] = ret[11] = 0xff;
        memcpy(ret + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    }
}

void http_later(struct http_transaction *x)
{
    struct request *r = request_of(x);
    r->handed_over = 1;
    atomic_fetch_add(&r->server->suspended, 1);
    conn_timeout_none(r->timer);
    MHD_suspend_connection(r->connection);
}

void http_done(struct http_transaction *x)
{
    struct request *r = request_of(x);
    struct http_server *s = r->server;
    MHD_resume_connection(r->connection); /* from here on it may be gone */
    atomic_fetch_sub(&s->suspended, 1);
}

/* The answer */

static void wake(void *arg)
{
    struct request *r = arg;
    http_done(&r->x);
}

static ssize_t read_stream(void *arg, uint64_t position, char *to, size_t max)
{
    struct request *r = arg;
    (void)position;
    ssize_t n = atomic_load(&r->server->stopping) ? -1 : r->x.answer.stream(&r->x, to, max);
    if (n < 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        atomic_fetch_add(&r->server->suspended, 1);
        MHD_suspend_connection(r->connection);
        conn_timeout_call_later(r->server->conn_timeout, wake, r);
    }
    return n;
}

static enum MHD_Result queue_stream(struct request *r)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, r, NULL);
    if (!response)
        return MHD_NO;
    if (r->x.method == HTTP_HEAD) /* else libmicrohttpd 0.9.75 sends the chunk that ends a body */
        (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    response_add_headers(response, &r->x.answer);
    conn_timeout_none(r->timer);
    int queued = response_queue(r->connection, r->x.answer.status, response);
    MHD_destroy_response(response);
    return queued < 0 ? MHD_NO : MHD_YES;
}

/* libmicrohttpd pushes out the head before it sends a file. Held back (tcp(7), TCP_CORK), both go together. */
static void hold_back(struct request *r, int on)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    (void)setsockopt(info->connect_fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    r->held_back = on;
}

static enum MHD_Result queue_whole(struct request *r)
{
    struct http_answer *a = &r->x.answer;
    struct MHD_Response *response = response_begin(&r->x);
    if (!response)
        return MHD_NO;
    int64_t length = a->image ? a->length : (int64_t)a->text_len;
    int is_sent = r->x.method != HTTP_HEAD && a->status != 304;
    conn_timeout_answer(r->timer, length);
    if (a->image && a->image->fd >= 0 && a->length && is_sent) {
        conn_timeout_file(r->timer, a->image->fd, a->first + a->length);
        hold_back(r, 1);
    }
    r->sent_bytes = is_sent ? length : 0;
    int queued = response_queue(r->connection, a->status, response);
    response_end(&r->x, response);
    return queued < 0 ? MHD_NO : MHD_YES;
}

static enum MHD_Result queue_answer(struct request *r)
{
    r->answered = 1;
    struct http_answer *a = &r->x.answer;
    if (atomic_load(&r->server->stopping))
        a->close = 1;
    if (a->status == 503 || a->status == 429)
        http_add_header(&r->x, "Retry-After", "%d", a->retry_after_s ? a->retry_after_s : RETRY_AFTER_S);
    r->server->hooks->finish_answer(&r->x);
    return a->stream ? queue_stream(r) : queue_whole(r);
}

/* The request */

static enum MHD_Result refuse(struct request *r, int status, const char *why)
{
    http_answer_problem(&r->x, status, "%s", why);
    r->x.answer.close = 1;
    return queue_answer(r);
}

static int64_t limit_of(const struct http_server *s, enum http_body body)
{
    int64_t most = store_max_bytes(s->store);
    int64_t image = s->config->max_upload_bytes < most ? s->config->max_upload_bytes : most;
    return body == HTTP_NO_BODY      ? 0
           : body == HTTP_LOGIN_BODY ? LOGIN_BODY_MAX
           : body == HTTP_SMALL_BODY ? SMALL_BODY_MAX
           : body == HTTP_FORM_BODY  ? s->config->max_upload_bytes + UPLOAD_FORM_OVERHEAD
                                     : image;
}

/* How much of a body is kept in memory; a larger one goes to a file. */
static int64_t memory_room(const struct http_server *s, enum http_body body, int64_t n)
{
    int64_t most = body == HTTP_FORM_BODY ? UPLOAD_FORM_MEMORY : s->config->inline_max_bytes;
    return n < most ? n : most;
}

/* Whose room the body takes. */
static enum body_sender sender_of(const struct http_transaction *x)
{
    return x->has_token || x->session_expires_us ? BODY_TRUSTED
           : x->route->body == HTTP_LOGIN_BODY   ? BODY_LOGIN
                                                 : BODY_ANYBODY;
}

static const char *limits_of(enum http_body body)
{
    return body == HTTP_IMAGE_BODY  ? "PERDURA_INLINE_MAX and PERDURA_MAX_UPLOAD"
           : body == HTTP_FORM_BODY ? "PERDURA_MAX_UPLOAD"
                                    : "the docs";
}

/* Whether what the body holds is stored as an image. */
static int is_image_body(enum http_body body)
{
    return body == HTTP_IMAGE_BODY || body == HTTP_FORM_BODY;
}

static enum MHD_Result begin_body(struct request *r)
{
    int64_t length = r->announced;
    if (length && http_body_is_coded(&r->x)) {
        http_add_header(&r->x, "Accept-Encoding", "identity");
        return refuse(r, 415, "the body has a Content-Encoding: send it without one");
    }
    if (is_image_body(r->x.route->body) && http_header(&r->x, "Content-Range"))
        return refuse(
            r, 400, "the request has a Content-Range: part of an image is not stored; send the whole image without it");
    r->sender = sender_of(&r->x);
    r->body_limit = limit_of(r->server, r->x.route->body);
    if (length > r->body_limit) {
        char why[200];
        (void)snprintf(why, sizeof why, "request body is %lld bytes; the limit is %lld, see %s", (long long)length,
                       (long long)r->body_limit, limits_of(r->x.route->body));
        return refuse(r, 413, why);
    }
    /* libmicrohttpd takes bare line feeds between chunks; others may see the end elsewhere: nothing is read behind. */
    r->x.answer.close = length < 0;
    http_body_begin(&r->x, memory_room(r->server, r->x.route->body, r->body_limit));
    conn_timeout_body(r->timer);
    return MHD_YES;
}

static void wait_among(struct http_transaction *x, enum pool pool, void (*step)(struct http_transaction *x))
{
    struct request *r = request_of(x);
    x->step = step;
    http_later(x);
    if (pools_push(r->server->pools, pool, x) < 0) {
        metric_inc(METRIC_http_refused);
        http_answer_later(x, "request queue full: try again");
        http_done(x);
    }
}

/* Whether it may be suspended: once no request is any more, none begins to be. */
static enum MHD_Result unless_closing(struct request *r, enum MHD_Result (*go_on)(struct request *r))
{
    struct http_server *s = r->server;
    atomic_fetch_add(&s->suspended, 1);
    enum MHD_Result result = atomic_load(&s->closing) ? refuse(r, 503, "the service ends: try again") : go_on(r);
    atomic_fetch_sub(&s->suspended, 1);
    return result;
}

/* The head is known, and so is who sent it. */
static enum MHD_Result admitted(struct request *r)
{
    struct http_transaction *x = &r->x;
    if (!x->answer.status && x->route->body == HTTP_FORM_BODY)
        r->server->hooks->begin_form(x);
    if (x->answer.status && r->announced) {
        x->answer.close = 1;
        return queue_answer(r);
    }
    return x->answer.status ? MHD_YES : begin_body(r);
}

/* libmicrohttpd goes on where it was: it calls once more with the head alone. */
static enum MHD_Result look_session_up(struct request *r)
{
    r->admitting = 1;
    wait_among(&r->x, POOL_SESSION, r->server->hooks->authorize_session);
    return MHD_YES;
}

static enum MHD_Result looked_up(struct request *r)
{
    r->admitting = r->handed_over = 0;
    return admitted(r);
}

/* "//" counts as "/". */
static void merge_slashes(char *path)
{
    char *to = path;
    for (const char *from = path; *from; from++)
        if (from == path || from[0] != '/' || from[-1] != '/')
            *to++ = *from;
    *to = '\0';
}

static enum MHD_Result begin(struct request *r, const char *method, const char *version)
{
    struct http_transaction *x = &r->x;
    const struct request_line line = {method, r->sent_uri, x->target, version};
    struct request_facts seen;
    const char *why;
    unsigned allow;
    char text[64];

    r->begun = 1;
    int passed = request_check(r->connection, &line, &seen, &why);
    if (passed < 0)
        return refuse(r, passed == -EPROTONOSUPPORT ? 505 : passed == -ENOTSUP ? 417 : 400, why);
    x->is_plain = seen.plain;
    x->host_len = seen.host_len;
    x->raw_path = x->target + seen.before_path;
    if ((x->raw_query = strchr(x->raw_path, '?')))
        *x->raw_query++ = '\0';
    merge_slashes(x->raw_path);
    x->method = http_method_named(method);
    int status = http_router_find(x, r->server->hooks->routes, r->server->config, &allow);
    if (status == 404)
        http_answer_problem(x, 404, "nothing is served at this URL; see docs/http-api.md");
    if (status == 405) {
        http_answer_problem(x, 405, "allowed methods: %s", http_methods_text(allow, text));
        http_add_header(x, "Allow", "%s", text);
    }
    r->announced = seen.body;
    return status == 0 && r->server->hooks->authorize(x) ? unless_closing(r, look_session_up) : admitted(r);
}

void http_wait(struct http_transaction *x, void (*step)(struct http_transaction *x))
{
    wait_among(x, pools_of(x), step);
}

static enum MHD_Result run_handler(struct request *r)
{
    struct http_transaction *x = &r->x;
    if (x->route->place == HTTP_INLINE)
        x->route->handler(x);
    else
        http_wait(x, x->route->handler);
    return r->handed_over ? MHD_YES : queue_answer(r);
}

/* Takes room for what came. A body in memory for which there is none goes to a file. */
static int hold(struct request *r, struct error *why)
{
    struct http_transaction *x = &r->x;
    struct body_rooms *rooms = &r->server->body_rooms;
    if (x->route->body == HTTP_FORM_BODY)
        return body_room_hold(rooms, r->sender, &r->hold, upload_form_memory(x), upload_form_file(x));
    if (x->body_fd < 0 && body_room_hold(rooms, r->sender, &r->hold, (int64_t)x->body.room, 0) == 0)
        return 0;
    int spools = x->route->body == HTTP_IMAGE_BODY;
    int failed = x->body_fd >= 0 ? 0 : spools ? http_body_spool(x, why) : -EAGAIN;
    return failed ? failed : body_room_hold(rooms, r->sender, &r->hold, 0, x->body_bytes);
}

static void take_piece(struct request *r, const char *piece, size_t n)
{
    struct http_transaction *x = &r->x;
    struct error why;
    conn_timeout_received(r->timer, n);
    if (r->body_bytes > r->body_limit)
        http_answer_problem(x, 413, "request body is larger than the limit of %lld bytes", (long long)r->body_limit);
    else if (x->route->body == HTTP_FORM_BODY)
        upload_form_take(x, piece, n);
    else if (http_body_add(x, piece, n, &why) < 0)
        http_answer_error(x, "the body", &why);
    if (x->answer.status)
        return;
    error_set(&why, -EAGAIN, "cannot be taken now, too many others are under way: try again");
    if (hold(r, &why) < 0) {
        http_answer_error(x, "the body", &why);
        x->answer.close = 1;
    }
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **context)
{
    struct request *r = *context;
    (void)arg;
    (void)url;
    if (!r)
        return MHD_NO; /* out of memory */
    r->connection = connection;
    if (!r->begun)
        return begin(r, method, version);
    if (r->admitting)
        return looked_up(r);
    if (*upload_size) {
        r->body_bytes += (int64_t)*upload_size;
        if (r->body_bytes > 2 * r->body_limit + SLACK) /* who just went too far is told so, who goes on is cut off */
            return MHD_NO;
        if (!r->x.answer.status)
            take_piece(r, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (r->answered)
        return MHD_YES;
    return r->x.answer.status ? queue_answer(r) : unless_closing(r, run_handler);
}

/* Called with the request line, before anything of it is decoded. */
static void *begin_request(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    r->server = arg;
    r->connection = connection;
    r->timer = info->socket_context;
    r->sent_uri = uri;
    r->x.service = r->server->service;
    r->x.store = r->server->store;
    r->x.body_fd = -1;
    r->x.carrier = r;
    r->x.lane = response_lane();
    r->x.started_us = clock_realtime_us();
    r->x.target = uri ? strdup(uri) : NULL;
    atomic_fetch_add(&r->server->under_way, 1);
    return r;
}

static void count(const struct request *r)
{
    const struct http_answer *a = &r->x.answer;
    enum metric_value route = r->x.route ? r->x.route->label : METRIC_route_unknown;
    metric_add(METRIC_http_requests, route, metric_code(a->status), 1);
    metric_add(METRIC_http_sent_bytes, route, METRIC_none, r->sent_bytes);
    metric_observe(METRIC_http_request_seconds, METRIC_none, METRIC_none, clock_realtime_us() - r->x.started_us);
}

static void end_request(void *arg, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode code)
{
    struct http_server *s = arg;
    struct request *r = *context;
    (void)connection;
    (void)code;
    if (!r)
        return;
    *context = NULL;
    if (r->held_back)
        hold_back(r, 0);
    conn_timeout_head(r->timer);
    if (r->answered)
        count(r);
    body_room_release(&s->body_rooms, r->sender, &r->hold);
    for (int i = 0; i < r->x.answer.headers_len; i++)
        free(r->x.answer.headers[i].value);
    image_unref(r->x.answer.image);
    image_extra_unref(r->x.answer.kept);
    free(r->x.answer.text);
    http_body_release(&r->x);
    free(r->x.path);
    if (r->x.route && r->x.route->body == HTTP_FORM_BODY)
        upload_form_release(&r->x);
    free(r->x.state);
    free(r->x.target);
    free(r);
    atomic_fetch_sub(&s->under_way, 1);
}

static void connection_changes(void *arg, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = conn_timeout_add(s->conn_timeout, info->connect_fd);
        metric_set(METRIC_connections, METRIC_none, METRIC_none, daemons_count(s->daemons, 1));
    } else {
        conn_timeout_remove(s->conn_timeout, *socket_context);
        metric_set(METRIC_connections, METRIC_none, METRIC_none, daemons_count(s->daemons, -1));
    }
}

/* As many descriptors as we may have; one more connection each. */
static unsigned connection_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1000;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t half = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (limit.rlim_cur - SPARE_DESCRIPTORS) / 2 : 100;
    return half < CONNECTIONS_MAX ? (unsigned)half : CONNECTIONS_MAX;
}

/* Clients cause most of what it says, and as often as they like: for who looks for a cause. */
static void log_complaint(void *arg, const char *fmt, va_list args)
{
    char text[256];
    (void)arg;
    (void)vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_event(LOG_DEBUG, "libmicrohttpd", LOG_STR("error", text));
}

struct MHD_Daemon *server_make_daemon(void *arg, int listen_fd, int count)
{
    struct http_server *s = arg;
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
                            NULL,                                                              //
                            handle, s,                                                         //
                            MHD_OPTION_EXTERNAL_LOGGER, log_complaint, NULL,                   //
                            MHD_OPTION_LISTEN_SOCKET, listen_fd,                               //
                            MHD_OPTION_CONNECTION_LIMIT, connection_limit() / (unsigned)count, //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,     //
                            MHD_OPTION_STRICT_FOR_CLIENT, STRICTNESS,                          //
                            MHD_OPTION_URI_LOG_CALLBACK, begin_request, s,                     //
                            MHD_OPTION_NOTIFY_COMPLETED, end_request, s,                       //
                            MHD_OPTION_NOTIFY_CONNECTION, connection_changes, s,               //
                            MHD_OPTION_END);
}
