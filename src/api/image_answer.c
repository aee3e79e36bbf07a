#include "api/image_answer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/metric.h"
#include "codec/digest.h"
#include "codec/httpdate.h"
#include "codec/url.h"
#include "http/range.h"
#include "stats/access.h"
#include "store/store.h"
#include "store/store_proxy.h"

/* An SVG can hold scripts: shown by itself, it may do nothing. */
#define POLICY "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

static int is_versioned(const struct http_transaction *x)
{
    return x->raw_query && url_query_has(x->raw_query, strlen(x->raw_query), "v");
}

/* Where an image comes from. */
struct image_source {
    const char *tier;
    const char *status; /* of the cache: "HIT" ... */
    int is_private;     /* for who asks alone */
};

static struct image_source source_of(const char *tier)
{
    int hit = strcmp(tier, "memory") == 0 || strcmp(tier, "disk") == 0;
    return (struct image_source){.tier = tier, .status = hit ? "HIT" : "MISS"};
}

/* What a 304 has to repeat (RFC 9110 section 15.4.5), and what every answer about this image carries. */
static void add_validators(struct http_transaction *x, const char *etag, int64_t modified_s,
                           const struct image_source *source)
{
    char date[HTTPDATE_SIZE];
    http_add_header(x, "ETag", "%s", etag);
    http_add_header(x, "Last-Modified", "%s", httpdate_format(date, modified_s));
    http_add_header(x, "Cache-Control", "%s",
                    source->is_private ? "private, no-cache"
                    : is_versioned(x)  ? "public, max-age=31536000, immutable"
                                       : "public, max-age=0, must-revalidate");
    if (source->is_private)
        return;
    http_add_header(x, "X-Cache-Status", "%s", source->status);
    http_add_header(x, "X-Cache-Tier", "%s", source->tier);
    if (store_proxies(x->service->store, x->key.collection))
        http_add_header(x, "X-Image-Type", "%s", x->key.collection);
}

/* Anyone may have written the row: what says that it is no image is not shown as what it says. */
static int is_image(const char *mime)
{
    return strncasecmp(mime, "image/", 6) == 0;
}

static void add_content(struct http_transaction *x, const struct image_meta *meta, const struct image_source *source)
{
    http_add_header(x, "Content-Type", "%s", is_image(meta->mime) ? meta->mime : "application/octet-stream");
    http_add_header(x, "X-Content-Type-Options", "nosniff");
    http_add_header(x, "Accept-Ranges", "bytes");
    if (source->is_private || strncasecmp(meta->mime, "image/svg", 9) == 0)
        http_add_header(x, "Content-Security-Policy", "%s", POLICY);
    if (source->is_private)
        http_add_header(x, "Cross-Origin-Resource-Policy", "same-origin");
}

static void send_bytes(struct http_transaction *x, struct image *image, const struct range *range,
                       const struct image_source *source)
{
    char content[RANGE_CONTENT_SIZE];
    add_content(x, &image->meta, source);
    x->answer.status = range->status;
    x->answer.image = image_ref(image);
    x->answer.first = range->status == RANGE_PART ? range->first : 0;
    x->answer.length = range->status == RANGE_PART ? range->last - range->first + 1 : image->meta.size;
    if (range->status == RANGE_PART)
        http_add_header(x, "Content-Range", "%s", range_content(content, range, image->meta.size));
}

static void refuse_range(struct http_transaction *x, const struct range *range, int64_t size)
{
    char content[RANGE_CONTENT_SIZE];
    http_answer_problem(x, 416, "the image has %lld bytes, and the range lies behind them", (long long)size);
    http_add_header(x, "Content-Range", "%s", range_content(content, range, size));
}

int image_conditions(struct http_transaction *x, enum conditional_method method, const struct conditional_current *now)
{
    char *match = http_header_list(x, "If-Match"), *none_match = http_header_list(x, "If-None-Match");
    const struct conditional_fields fields = {
        .if_match = match,
        .if_none_match = none_match,
        .if_modified_since = http_header(x, "If-Modified-Since"),
        .if_unmodified_since = http_header(x, "If-Unmodified-Since"),
    };
    enum conditional_answer status = conditional_check(method, &fields, now);
    free(match);
    free(none_match);
    if (status == CONDITIONAL_FAILED)
        http_answer_problem(x, 412, "what is stored is not what the request is about: ask again what there is");
    else if (status == CONDITIONAL_MALFORMED)
        http_answer_problem(x, 400, "If-Match or If-None-Match is neither * nor a list of entity tags");
    return (int)status;
}

static void image_answer(struct http_transaction *x, struct image *image, const struct image_source *source)
{
    char etag[CONDITIONAL_ETAG_SIZE];
    const struct conditional_current now = {conditional_etag(etag, image->meta.sha256),
                                            image->meta.mtime_ns / 1000000000};
    int status = image_conditions(x, CONDITIONAL_READ, &now);
    struct range range = {.status = RANGE_WHOLE};
    if (x->method == HTTP_GET && range_if_range(http_header(x, "If-Range"), etag, now.modified_s))
        range = range_parse(http_header(x, "Range"), image->meta.size);
    if (status == CONDITIONAL_NOT_MODIFIED) {
        add_validators(x, etag, now.modified_s, source);
        http_answer_empty(x, 304);
        x->answer.image = image_ref(image); /* never sent, but Content-Length has to be that of the 200 */
        x->answer.length = image->meta.size;
    } else if (status == CONDITIONAL_PROCEED && range.status == RANGE_UNSATISFIABLE) {
        refuse_range(x, &range, image->meta.size);
    } else if (status == CONDITIONAL_PROCEED) {
        add_validators(x, etag, now.modified_s, source);
        send_bytes(x, image, &range, source);
    }
    image_unref(image);
}

/* The name in full (RFC 8187), and for those who can't read that, one of plain characters (RFC 6266, appendix D). */
static void add_file_name(struct http_transaction *x, const char *name)
{
    struct buf encoded;
    char plain[SAFEPATH_NAME_MAX + 1];
    size_t n = 0;
    for (; n < SAFEPATH_NAME_MAX && name[n]; n++)
        plain[n] = (char)(isalnum((unsigned char)name[n]) || strchr("-_.", name[n]) ? name[n] : '_');
    plain[n] = '\0';
    buf_init(&encoded, 4 * SAFEPATH_MAX);
    if (url_encode_value(&encoded, name, strlen(name)) == 0)
        http_add_header(x, "Content-Disposition", "attachment; filename=\"%s\"; filename*=UTF-8''%s", plain,
                        encoded.data);
    buf_release(&encoded);
}

void image_answer_private(struct http_transaction *x, struct image *image, const char *save_as)
{
    const struct image_source source = {.is_private = 1};
    if (save_as)
        add_file_name(x, save_as);
    image_answer(x, image, &source);
}

/* Whether the client has the image now, by this answer or, after a 304, by one before. */
static int is_served(const struct http_transaction *x)
{
    int status = x->answer.status;
    return x->method == HTTP_GET && (status == 200 || status == 206 || status == 304);
}

/* Of an image that is hot. Its references become the answer's. */
static void answer_again(struct http_transaction *x, struct store_hot *hot)
{
    struct http_answer *a = &x->answer;
    a->kept = hot->extra;
    if (x->is_plain && hot->lasts) {
        a->keep = is_versioned(x) ? HTTP_KEEP_VERSIONED : HTTP_KEEP_PLAIN;
        a->image = hot->image;
        a->length = hot->image->meta.size;
        if (http_answer_kept(x) == 0)
            return;
        a->image = NULL;
    }
    const struct image_source source = source_of(hot->tier);
    image_answer(x, hot->image, &source);
}

static void landed(void *arg, struct image *image, const struct store_hit *found, const struct error *why)
{
    struct http_transaction *x = arg;
    const struct image_source source = source_of(image ? found->tier : "");
    if (image)
        image_answer(x, image, &source);
    else
        http_answer_error(x, "the image", why);
    if (is_served(x))
        access_note(x->service->access, &x->key);
    http_done(x);
}

int image_answer_hot(struct http_transaction *x)
{
    struct store_hot hot;
    int r = store_hot(x->service->store, &x->key, &hot);
    if (r < 0)
        return r;
    answer_again(x, &hot);
    metric_observe(METRIC_read_seconds, metric_tier(hot.tier), METRIC_none, clock_realtime_us() - x->started_us);
    if (is_served(x) && !store_proxies(x->service->store, x->key.collection))
        access_note(x->service->access, &x->key);
    return 0;
}

void image_fetch(struct http_transaction *x)
{
    if (store_fetch(x->service->store, &x->key, landed, x) == 0)
        return;
    http_answer_later(x, "request queue full: try again");
    http_done(x);
}

/* Who asks is not told more of an origin than that; the log tells. */
static void answer_failure(struct http_transaction *x, const struct error *why)
{
    int code = why->code;
    if (code == -ENOENT)
        http_answer_problem(x, 404, "the origin of \"%s\" has no such image", x->key.collection);
    else if (code == -EINVAL)
        http_answer_problem(x, 502, "what the origin of \"%s\" has there is no image", x->key.collection);
    else if (code == -EFBIG)
        http_answer_problem(x, 502, "what the origin of \"%s\" has there is larger than PERDURA_MAX_UPLOAD",
                            x->key.collection);
    else if (code == -ENODATA)
        http_answer_problem(x, 502, "the answer of the origin of \"%s\" broke off: try again", x->key.collection);
    else if (code == -ENODEV)
        http_answer_later(x, why->text);
    else if (store_proxy_is_passing(code))
        http_answer_later(x, "the image is in no cache, and its origin does not answer: try again");
    else
        http_answer_problem(x, 502, "the origin of \"%s\" does not give the image: see the log", x->key.collection);
}

static void proxied(void *arg, struct image *image, const struct store_hit *found, const struct error *why)
{
    struct http_transaction *x = arg;
    if (image) {
        const struct image_source source = {.tier = found->tier, .status = found->status};
        image_answer(x, image, &source);
    } else {
        answer_failure(x, why);
    }
    http_done(x);
}

void image_fetch_proxied(struct http_transaction *x)
{
    if (store_proxy(x->service->store, &x->key, proxied, x) == 0)
        return;
    http_answer_later(x, "request queue full: try again");
    http_done(x);
}
