/* Of an image that is hot, the whole response is made once (a lane, see there) and sent to all who ask for it in the
 * same way: no header is written again, and nothing of it is looked up. It is kept with the image (image_extra) and
 * goes with it. */
#include "http/response.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metric.h"
#include "http/problem.h"
#include "store/store.h"

/* libmicrohttpd holds a lock over a response while it sends a file, and for a moment while it counts who sends it. So
 * that the threads that carry connections don't wait for each other there, they are spread over so many. */
#define LANES 4

struct kept_response {
    struct image_extra extra;
    struct lane {
        _Atomic(struct MHD_Response *) plain, versioned;
    } lanes[LANES];
};

unsigned response_lane(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned own;
    if (!own)
        own = 1 + atomic_fetch_add(&threads, 1) % LANES;
    return own - 1;
}

static _Atomic(struct MHD_Response *) *place_of(const struct http_transaction *x)
{
    struct lane *lane = &((struct kept_response *)x->answer.kept)->lanes[x->lane];
    return x->answer.keep == HTTP_KEEP_VERSIONED ? &lane->versioned : &lane->plain;
}

static void free_kept(struct image_extra *extra)
{
    struct kept_response *kept = (struct kept_response *)extra;
    for (int i = 0; i < LANES; i++) {
        if (atomic_load(&kept->lanes[i].plain))
            MHD_destroy_response(atomic_load(&kept->lanes[i].plain));
        if (atomic_load(&kept->lanes[i].versioned))
            MHD_destroy_response(atomic_load(&kept->lanes[i].versioned));
    }
    free(kept);
}

static struct image_extra *new_kept(void)
{
    struct kept_response *kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    atomic_init(&kept->extra.references, 1);
    kept->extra.free = free_kept;
    return &kept->extra;
}

static struct MHD_Response *find_kept(const struct http_transaction *x)
{
    const struct http_answer *a = &x->answer;
    return a->keep && a->kept && !a->close ? atomic_load(place_of(x)) : NULL;
}

int http_answer_kept(struct http_transaction *x)
{
    if (!find_kept(x))
        return -ENOENT;
    x->answer.status = 200;
    return 0;
}

static void let_image_go(void *image)
{
    image_unref(image);
}

static struct MHD_Response *of_image(const struct http_answer *a)
{
    struct MHD_Response *response;
    if (a->image->bytes) {
        response = MHD_create_response_from_buffer_with_free_callback_cls((size_t)a->length, a->image->bytes + a->first,
                                                                          let_image_go, a->image);
        if (response)
            (void)image_ref(a->image);
        return response;
    }
    int fd = dup(a->image->fd);
    if (fd < 0)
        return NULL;
    response = MHD_create_response_from_fd_at_offset64((uint64_t)a->length, fd, (uint64_t)a->first);
    if (!response)
        close(fd);
    return response;
}

static struct MHD_Response *of_text(struct http_answer *a)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(a->text_len, a->text ? a->text : "", a->text ? free : NULL);
    if (response)
        a->text = NULL;
    return response;
}

void response_add_headers(struct MHD_Response *response, const struct http_answer *a)
{
    for (int i = 0; i < a->headers_len; i++)
        (void)MHD_add_response_header(response, a->headers[i].name, a->headers[i].value);
    if (a->close)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

struct MHD_Response *response_begin(struct http_transaction *x)
{
    struct http_answer *a = &x->answer;
    struct MHD_Response *response = find_kept(x);
    if (response)
        return response;
    response = a->image ? of_image(a) : of_text(a);
    if (!response)
        return NULL;
    response_add_headers(response, a);
    return response;
}

void response_end(struct http_transaction *x, struct MHD_Response *response)
{
    struct http_answer *a = &x->answer;
    struct MHD_Response *none = NULL;
    if (response == find_kept(x))
        return;
    if (!a->keep || a->close || a->status != 200) {
        MHD_destroy_response(response);
        return;
    }
    if (!a->kept && (a->kept = new_kept()))
        store_hot_attach(x->store, a->image, a->kept);
    if (!a->kept || !atomic_compare_exchange_strong(place_of(x), &none, response))
        MHD_destroy_response(response);
}

/* libmicrohttpd refuses what it cannot parse by itself, with pages of its own, and queues these as any server would:
 * through MHD_queue_response. As this program defines a function of that name as well, the dynamic linker gives ours to
 * the library; so such a request, too, is answered with a problem document. Ours is never called for our own answers.
 */

static const char *refusal(unsigned *status)
{
    switch (*status) {
    case 500: /* said of a line between chunks that does not fit its buffer, and of nothing else */
        *status = 400;
        return "the line of a chunk's size is too long: send chunks without extensions";
    case 413:
        return "the body, or one of its chunks, has a size beyond all limits";
    case 414:
        return "the request's target is too long";
    case 431:
        return "the request's header or trailer fields are too large, or too many";
    case 505:
        return "HTTP/1.1 and HTTP/1.0 are understood";
    default:
        return *status < 500 ? "the request is not as RFC 9112 describes it" : NULL;
    }
}

int response_queue(struct MHD_Connection *connection, int status, struct MHD_Response *response)
{
    static _Atomic(void *) known;
    enum MHD_Result (*queue)(struct MHD_Connection *, unsigned, struct MHD_Response *);
    void *found = atomic_load(&known);
    if (!found) {
        found = dlsym(RTLD_NEXT, "MHD_queue_response");
        atomic_store(&known, found);
    }
    *(void **)&queue = found;
    return queue && queue(connection, (unsigned)status, response) == MHD_YES ? 0 : -EIO;
}

#if MHD_VERSION < 0x00097701
/* These releases go on with a request that they have refused for its Content-Length, and send the head of the answer
 * twice. So this answer is sent from here, and the connection ends as if it could not be queued. */
static int has_wrong_length(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length && (!*length || length[strspn(length, "0123456789")] || strlen(length) > 18);
}

static void send_refusal(struct MHD_Connection *connection, unsigned status, const struct buf *body)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct buf text;
    buf_init(&text, 2 * PROBLEM_MAX_BYTES);
    if (buf_addf(&text,
                 "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: " PROBLEM_CONTENT_TYPE
                 "\r\nCache-Control: no-store\r\nContent-Length: %zu\r\n\r\n%s",
                 status, problem_title((int)status), body->len, body->data) == 0)
        (void)!send(info->connect_fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_release(&text);
}
#else
static int has_wrong_length(struct MHD_Connection *connection)
{
    (void)connection;
    return 0;
}

static void send_refusal(struct MHD_Connection *connection, unsigned status, const struct buf *body)
{
    (void)connection;
    (void)status;
    (void)body;
}
#endif

static struct MHD_Response *make_refusal(const struct buf *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return NULL;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, PROBLEM_CONTENT_TYPE);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return response;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
    struct buf body;
    struct MHD_Response *own = NULL;
    const char *detail = refusal(&status);
    int r = -EIO;
    metric_add(METRIC_http_requests, METRIC_route_unknown, metric_code((int)status), 1);
    buf_init(&body, PROBLEM_MAX_BYTES);
    int there = detail && problem_body(&body, (int)status, detail) == 0;
    if (there && has_wrong_length(connection)) {
        send_refusal(connection, status, &body);
        goto out;
    }
    own = there ? make_refusal(&body) : NULL;
    r = response_queue(connection, (int)status, own ? own : response);
    if (own)
        MHD_destroy_response(own);
out:
    buf_release(&body);
    return r == 0 ? MHD_YES : MHD_NO;
}
