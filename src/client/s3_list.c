#include <errno.h>
#include <string.h>

#include "client/s3_request.h"
#include "codec/url.h"

#define QUERY_MAX 16384

static int compose(struct buf *query, const char *token, const char *prefix, int keys)
{
    int r = 0;
    buf_reset(query);
    if (*token) {
        r = buf_addstr(query, "continuation-token=");
        if (r == 0)
            r = url_encode_value(query, token, strlen(token));
        if (r == 0)
            r = buf_addstr(query, "&");
    }
    if (r == 0)
        r = buf_addf(query, "list-type=2&max-keys=%d&prefix=", keys);
    return r < 0 ? r : url_encode_value(query, prefix, strlen(prefix));
}

static int ask_page(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *query, struct buf *body,
                    struct error *e)
{
    struct s3_request request = {.method = FETCH_GET, .bucket = bucket, .query = query, .gathered = body};
    struct fetch_answer answer;
    return s3_ask(s3, call, &request, &answer, e);
}

#define EMPTY_PAGES_MAX 100 /* in a row; pages may be empty, and a listing has to end */

/* What has to hold of a listing, whatever the storage says: keys of the prefix, in ascending order. So it comes to its
 * end, and nobody is told of an object of somebody else's. */
struct s3_listing {
    const char *prefix;
    s3_xml_object_fn *fn;
    void *arg;
    char last[1025];
    int empty_pages;
    int listed; /* of the present page */
};

static int check_object(void *arg, const struct s3_xml_object *object)
{
    struct s3_listing *l = arg;
    size_t n = strlen(object->key);
    if (strncmp(object->key, l->prefix, strlen(l->prefix)) != 0 || n >= sizeof l->last ||
        (*l->last && strcmp(object->key, l->last) <= 0))
        return -EINVAL;
    memcpy(l->last, object->key, n + 1);
    l->listed++;
    return l->fn(l->arg, object);
}

static int read_page(struct s3_listing *l, const struct buf *body, char token[S3_XML_TOKEN_SIZE])
{
    l->listed = 0;
    int r = s3_xml_list(body->data ? body->data : "", body->len, check_object, l, token);
    l->empty_pages = l->listed ? 0 : l->empty_pages + 1;
    return r == 0 && l->empty_pages > EMPTY_PAGES_MAX ? -EINVAL : r;
}

static int list(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *prefix, int keys,
                s3_xml_object_fn *fn, void *arg, struct error *e)
{
    struct s3_listing listing = {.prefix = prefix, .fn = fn, .arg = arg};
    char token[S3_XML_TOKEN_SIZE] = "";
    struct buf query, body;
    int r;
    buf_init(&query, QUERY_MAX);
    buf_init(&body, S3_XML_MAX_BYTES);
    do {
        r = compose(&query, token, prefix, keys);
        r = r < 0 ? error_set_sentence(e, r, "the prefix is too long")
                  : ask_page(s3, call, bucket, query.data, &body, e);
        if (r < 0)
            break;
        r = read_page(&listing, &body, token);
        if (r == -EINVAL)
            r = error_set_sentence(e, -EBADE,
                                   "object storage at %s lists a bucket as no S3 does: check PERDURA_S3_ENDPOINT",
                                   s3_endpoint(s3));
        else if (r == -ENOMEM)
            error_set_sentence(e, r, "out of memory");
    } while (r == 0 && *token && keys > 1);
    buf_release(&query);
    buf_release(&body);
    return r;
}

int s3_list(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *prefix, s3_xml_object_fn *fn,
            void *arg, struct error *e)
{
    return list(s3, call, bucket, prefix, 1000, fn, arg, e);
}

static int ignore(void *arg, const struct s3_xml_object *object)
{
    (void)arg, (void)object;
    return 0;
}

int s3_check(struct s3 *s3, const struct s3_call *call, const char *bucket, struct error *e)
{
    return list(s3, call, bucket, "", 1, ignore, NULL, e);
}
