/* Of an image that is hot, the whole response is made once (a lane, see there) and sent to all who ask for it in the
 * same way: no header is written again, and nothing of it is looked up. It is kept with the image (image_extra) and
 * goes with it. */
#include "http/response.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/server.h"
#include "store/store.h"

/* libmicrohttpd holds a lock over a response while it sends a file, and for a moment while it counts who sends it. So
 * that the threads that carry connections don't wait for each other there, they are spread over so many. */
#define LANES 4

struct kept {
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

static _Atomic(struct MHD_Response *) *place_of(const struct http_exchange *x)
{
    struct lane *lane = &((struct kept *)x->answer.kept)->lanes[x->lane];
    return x->answer.keep == HTTP_KEEP_VERSIONED ? &lane->versioned : &lane->plain;
}

static void free_kept(struct image_extra *extra)
{
    struct kept *kept = (struct kept *)extra;
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
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    atomic_init(&kept->extra.references, 1);
    kept->extra.free = free_kept;
    return &kept->extra;
}

static struct MHD_Response *find_kept(const struct http_exchange *x)
{
    const struct http_answer *a = &x->answer;
    return a->keep && a->kept && !a->close ? atomic_load(place_of(x)) : NULL;
}

int http_answer_kept(struct http_exchange *x)
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

struct MHD_Response *response_begin(struct http_exchange *x)
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

void response_end(struct http_exchange *x, struct MHD_Response *response)
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
        store_hot_attach(x->service->store, a->image, a->kept);
    if (!a->kept || !atomic_compare_exchange_strong(place_of(x), &none, response))
        MHD_destroy_response(response);
}
