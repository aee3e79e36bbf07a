#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/s3_request.h"

/* An object on its way in, however many requests it takes. */
struct s3_reading {
    const struct s3_read *read;
    struct s3_object object;
    int begun;
    int64_t passed;    /* bytes that the sink has got */
    int ranged;        /* the present request names a range */
    int64_t came;      /* bytes of the present answer's body; -1: it has not begun */
    int64_t skip;      /* so many of them are not wanted: a server that knows no ranges sends all */
    const char *wrong; /* why what came is not what was asked for; NULL: it is */
    struct fetch_answer answer;
};

static int64_t wanted(const struct s3_reading *x)
{
    return x->read->len < 0 ? INT64_MAX : x->read->len - x->passed;
}

static int refuse(struct s3_reading *x, const char *why)
{
    x->wrong = why;
    return -EBADE;
}

/* RFC 9110 section 15.3.7: a part is an answer to a request for one alone, and the one that was asked for. */
static int check_part(struct s3_reading *x)
{
    const struct fetch_answer *a = &x->answer;
    if (!x->ranged)
        return refuse(x, "sends a part of an object that was asked for whole");
    if (a->first != x->read->from + x->passed || a->last < a->first || a->whole_length <= a->last ||
        (x->begun && x->object.size >= 0 && a->whole_length != x->object.size))
        return refuse(x, "sends another part of an object than what was asked for");
    return 0;
}

static int begin(struct s3_reading *x)
{
    int wrong = x->answer.status == 206 ? check_part(x) : 0;
    if (wrong)
        return wrong;
    x->came = 0;
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
    struct s3_reading *x = arg;
    const char *at = bytes;
    int r = x->came < 0 ? begin(x) : 0;
    if (r != 0)
        return r;
    x->came += (int64_t)n;
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
static void compose(struct s3_reading *x, struct s3_request *request, char range[64], char condition[300])
{
    int64_t from = x->read->from + x->passed;
    int n = 0;
    if (x->read->len >= 0)
        (void)snprintf(range, 64, "Range: bytes=%" PRId64 "-%" PRId64, from, x->read->from + x->read->len - 1);
    else
        (void)snprintf(range, 64, "Range: bytes=%" PRId64 "-", from);
    x->ranged = from > 0 || x->read->len >= 0;
    if (x->ranged)
        request->headers[n++] = range;
    if (x->begun && *x->object.etag)
        (void)snprintf(condition, 300, "If-Match: %s", x->object.etag);
    else if (!x->begun && x->read->if_none_match)
        (void)snprintf(condition, 300, "If-None-Match: %s", x->read->if_none_match);
    else
        return;
    request->headers[n] = condition;
}

/* The transfer came to its end: whether that is the end of what was asked for. 1: it is. */
static int check_end(struct s3_reading *x)
{
    const struct fetch_answer *a = &x->answer;
    int r = x->came < 0 ? begin(x) : 0; /* an empty body never came to the sink */
    if (r < 0)
        return r;
    if (a->status == 206 && x->came != a->last - a->first + 1)
        return refuse(x, "sends a part of an object with another length than it says");
    if (a->status == 200 && x->read->from && x->skip > 0)
        return -ERANGE;
    if (x->read->len < 0 && x->object.size >= 0 && x->read->from + x->passed != x->object.size)
        return refuse(x, "sends an object with another length than it says");
    x->object.end_unseen = a->status == 200 && a->end == FETCH_END_BY_CLOSE;
    return 1;
}

static int tell_end(const struct s3 *s3, const struct s3_reading *x, int code, struct error *e)
{
    if (x->wrong)
        return error_set_sentence(e, code, "object storage at %s %s", s3_endpoint(s3), x->wrong);
    if (code == -ERANGE)
        return error_set_sentence(e, code, "the range begins behind the object's end");
    return error_set_sentence(e, code, "the object was not taken: %s", strerror(-code));
}

/* What is broken off goes on only where another content could be told from this one (RFC 9110 section 8.8.3.2: a weak
 * ETag may stand for several). */
static int may_go_on(const struct s3_reading *x)
{
    return !x->passed || (*x->object.etag && strncmp(x->object.etag, "W/", 2) != 0);
}

/* 1: all is there. 0: the answer is to be told. */
static int read_on(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, struct s3_reading *x,
                   struct error *e)
{
    struct fetch_sink sink = {.write = take, .arg = x};
    struct s3_request request = {.method = FETCH_GET,
                                 .bucket = bucket,
                                 .key = key,
                                 .sink = &sink,
                                 .begin_by_ms = x->passed ? 0 : call->begin_by_ms};
    char range[64], condition[300];
    compose(x, &request, range, condition);
    x->came = -1;
    int r = s3_ask_once(s3, call, &request, &x->answer, e);
    if (r < 0)
        return x->wrong ? tell_end(s3, x, r, e) : r;
    if (x->answer.status == 200 || x->answer.status == 206) {
        r = check_end(x);
        return r < 0 ? tell_end(s3, x, r, e) : r;
    }
    if (x->answer.status == 304 && !x->begun && x->read->if_none_match) {
        s3_object_from(&x->object, &x->answer);
        return 1;
    }
    return x->answer.status == 416 && x->ranged ? tell_end(s3, x, -ERANGE, e) : 0;
}

int s3_get(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key, const struct s3_read *read,
           struct s3_object *ret, struct error *e)
{
    struct s3_reading x = {.read = read};
    struct s3_request request = {.bucket = bucket, .key = key};
    struct s3_patience patience = {.begin_by_ms = call->begin_by_ms};
    for (;;) {
        int64_t before = x.passed;
        int r = read_on(s3, call, bucket, key, &x, e);
        if (r > 0) {
            *ret = x.object;
            return 0;
        }
        if (x.passed > before)
            patience = (struct s3_patience){.tries = 0};
        int again = may_go_on(&x) ? s3_wait(&patience, call, r, &x.answer) : 0;
        if (again < 0)
            return error_set_sentence(e, again, "cancelled");
        if (!again)
            return r < 0 ? s3_tell_broken(s3, r, e) : s3_tell(s3, &request, &x.answer, e);
    }
}
