#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/s3_request.h"

/* An object on its way in, however many requests it takes. */
struct reading {
    const struct s3_read *read;
    struct s3_object object;
    int begun;
    int64_t passed; /* bytes that the sink has got */
    int64_t skip;   /* of the present answer's body: a server that knows no ranges sends all of it */
    struct fetch_answer answer;
};

static int64_t wanted(const struct reading *x)
{
    return x->read->len < 0 ? INT64_MAX : x->read->len - x->passed;
}

static int begin(struct reading *x)
{
    if (!x->begun) {
        s3_object_from(&x->object, &x->answer);
        int r = x->read->begin ? x->read->begin(x->read->sink.arg, &x->object) : 0;
        if (r != 0)
            return r;
        x->begun = 1;
    } else if (strcmp(x->object.etag, x->answer.etag) != 0) {
        return -ESTALE;
    }
    x->skip = x->answer.status == 200 ? x->read->from + x->passed : 0;
    return 0;
}

static int take(void *arg, const void *bytes, size_t n)
{
    struct reading *x = arg;
    const char *at = bytes;
    int r = x->skip < 0 ? begin(x) : 0;
    if (r != 0)
        return r;
    int64_t skipped = x->skip < (int64_t)n ? x->skip : (int64_t)n;
    x->skip -= skipped;
    at += skipped;
    n -= (size_t)skipped;
    if ((int64_t)n > wanted(x))
        n = (size_t)wanted(x);
    if (!n)
        return 0;
    if ((int64_t)n > x->read->max_bytes - x->passed)
        return -EFBIG;
    r = x->read->sink.write(x->read->sink.arg, at, n);
    if (r == 0)
        x->passed += (int64_t)n;
    return r;
}

/* From where the last request ended. */
static void compose(const struct reading *x, struct s3_request *request, char range[64], char condition[300])
{
    int64_t from = x->read->from + x->passed;
    int n = 0;
    if (x->read->len >= 0)
        (void)snprintf(range, 64, "Range: bytes=%" PRId64 "-%" PRId64, from, x->read->from + x->read->len - 1);
    else
        (void)snprintf(range, 64, "Range: bytes=%" PRId64 "-", from);
    if (from > 0 || x->read->len >= 0)
        request->headers[n++] = range;
    if (x->begun && *x->object.etag)
        (void)snprintf(condition, 300, "If-Match: %s", x->object.etag);
    else if (!x->begun && x->read->if_none_match)
        (void)snprintf(condition, 300, "If-None-Match: %s", x->read->if_none_match);
    else
        return;
    request->headers[n] = condition;
}

/* 1: all is there. */
static int read_on(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, struct reading *x,
                   struct error *e)
{
    struct fetch_sink sink = {.write = take, .arg = x};
    struct s3_request request = {.method = FETCH_GET, .bucket = bucket, .key = key, .sink = &sink};
    char range[64], condition[300];
    compose(x, &request, range, condition);
    x->skip = -1;
    int r = s3_ask_once(s3, call, &request, &x->answer, e);
    if (r < 0)
        return r;
    if (x->answer.status == 200 || x->answer.status == 206) {
        r = x->skip < 0 ? begin(x) : 0; /* an empty body never came to the sink */
        return r < 0 ? error_set(e, r, "the object was not taken: %s", strerror(-r)) : 1;
    }
    if (x->answer.status == 304 && !x->begun) {
        s3_object_from(&x->object, &x->answer);
        return 1;
    }
    if (x->answer.status == 416)
        return error_set(e, -ERANGE, "the range begins behind the object's end");
    return 0;
}

int s3_get(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, const struct s3_read *read,
           struct s3_object *ret, struct error *e)
{
    struct reading x = {.read = read};
    struct s3_request request = {.bucket = bucket, .key = key};
    struct s3_patience patience = {0};
    for (;;) {
        int64_t before = x.passed;
        int r = read_on(s3, call, bucket, key, &x, e);
        if (r > 0) {
            *ret = x.object;
            return 0;
        }
        if (x.passed > before)
            patience.tries = 0;
        int again = s3_wait(&patience, call, r, &x.answer);
        if (again < 0)
            return error_set(e, again, "cancelled");
        if (!again)
            return r < 0 ? s3_tell_broken(s3, r, e) : s3_tell(s3, &request, &x.answer, e);
    }
}
