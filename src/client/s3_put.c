#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "client/s3_request.h"
#include "codec/url.h"

#define PIECE_BYTES  (64 << 10)
#define PARTS_MAX    10000 /* S3's own limit */
#define COMPLETE_MAX (2 << 20)

#define UNREADABLE "can't be read for its upload: %s"

/* A part of a body, as a body of its own, whose MD5 is taken while it is sent. */
struct window {
    const struct fetch_body *whole;
    int64_t from, len;
    int64_t summed; /* so much of it is in `md5` */
    struct digest md5;
};

/* A transfer that is repeated begins anew, and its sum with it. */
static int sum(struct window *w, int64_t offset, const void *bytes, size_t n)
{
    int r = 0;
    if (offset != w->summed) {
        (void)digest_end(&w->md5, NULL);
        r = offset ? -EIO : digest_start(&w->md5, DIGEST_MD5);
        w->summed = 0;
    }
    if (r == 0)
        r = digest_add(&w->md5, bytes, n);
    w->summed += (int64_t)n;
    return r;
}

static long read_window(void *arg, int64_t offset, void *dst, size_t n)
{
    struct window *w = arg;
    long got = w->whole->read_at(w->whole->arg, w->from + offset, dst, n);
    int r = got > 0 ? sum(w, offset, dst, (size_t)got) : 0;
    return r < 0 ? r : got;
}

/* The SHA-256 of n bytes of a body. */
static int hash(const struct fetch_body *body, int64_t from, int64_t n, unsigned char ret[DIGEST_SHA256_LEN])
{
    char *piece = malloc(PIECE_BYTES);
    struct digest sha256;
    int r = piece ? digest_start(&sha256, DIGEST_SHA256) : -ENOMEM;
    if (r < 0) {
        free(piece);
        return r;
    }
    for (int64_t at = 0; r == 0 && at < n;) {
        long got = body->read_at(body->arg, from + at, piece, n - at < PIECE_BYTES ? (size_t)(n - at) : PIECE_BYTES);
        r = got > 0 ? digest_add(&sha256, piece, (size_t)got) : got < 0 ? (int)got : -EIO;
        at += got;
    }
    int ended = digest_end(&sha256, r < 0 ? NULL : ret);
    free(piece);
    return r < 0 ? r : ended;
}

/* An upload. */
struct put {
    struct s3 *s3;
    const struct s3_call *call;
    const char *bucket, *key, *content_type;
    const struct fetch_body *body;
    const unsigned char *sha256; /* the body's */
    int unsure;                  /* the storage did not tell the MD5 of all that it was sent */
    char upload_id[S3_XML_UPLOAD_ID_SIZE];
};

/* Sends bytes as an object, or as the part that the query names. */
static int send_bytes(struct put *p, struct window *w, const unsigned char *sha256, const char *query,
                      struct fetch_answer *ret, struct error *e)
{
    const struct fetch_body body = {.len = w->len, .read_at = read_window, .arg = w};
    unsigned char md5[DIGEST_MD5_LEN];
    char type[160], digits[2 * DIGEST_MD5_LEN + 1], etag[sizeof digits + 2];
    int r = digest_start(&w->md5, DIGEST_MD5);
    if (r < 0)
        return error_set_sentence(e, r, "out of memory");
    (void)snprintf(type, sizeof type, "Content-Type: %s", p->content_type);
    struct s3_request request = {.method = FETCH_PUT,
                                 .bucket = p->bucket,
                                 .key = p->key,
                                 .query = query,
                                 .headers = {query ? NULL : type},
                                 .body = &body,
                                 .sha256 = sha256};
    r = s3_ask(p->s3, p->call, &request, ret, e);
    int ended = digest_end(&w->md5, r < 0 ? NULL : md5);
    if (r < 0 || ended < 0)
        return r < 0 ? r : error_set_sentence(e, ended, "OpenSSL failed");
    digest_hex_bytes(digits, md5, sizeof md5);
    (void)snprintf(etag, sizeof etag, "\"%s\"", digits);
    p->unsure |= strcasecmp(ret->etag, etag) != 0;
    return 0;
}

/* In parts: Amazon S3 API reference, CreateMultipartUpload, UploadPart, CompleteMultipartUpload. */

static int start_parts(struct put *p, struct error *e)
{
    char type[160];
    struct buf body;
    buf_init(&body, 64 << 10);
    (void)snprintf(type, sizeof type, "Content-Type: %s", p->content_type);
    struct s3_request request = {.method = FETCH_POST,
                                 .bucket = p->bucket,
                                 .key = p->key,
                                 .query = "uploads=",
                                 .headers = {type},
                                 .gathered = &body};
    struct fetch_answer answer;
    int r = s3_ask(p->s3, p->call, &request, &answer, e);
    if (r == 0 && s3_xml_upload_id(body.data ? body.data : "", body.len, p->upload_id) < 0)
        r = error_set_sentence(e, -EBADE, "object storage at %s begins an upload in parts as no S3 does",
                               s3_endpoint(p->s3));
    buf_release(&body);
    return r;
}

static int part_query(const struct put *p, int number, struct buf *query)
{
    buf_reset(query);
    int r = number ? buf_addf(query, "partNumber=%d&", number) : 0;
    if (r == 0)
        r = buf_addstr(query, "uploadId=");
    return r < 0 ? r : url_encode_value(query, p->upload_id, strlen(p->upload_id));
}

static int send_part(struct put *p, int number, struct buf *query, struct buf *list, struct error *e)
{
    unsigned char sha256[DIGEST_SHA256_LEN];
    int64_t from = (number - 1) * S3_PART_BYTES, left = p->body->len - from;
    struct window window = {.whole = p->body, .from = from, .len = left < S3_PART_BYTES ? left : S3_PART_BYTES};
    struct fetch_answer answer;
    int r = hash(p->body, from, window.len, sha256);
    if (r == 0)
        r = part_query(p, number, query);
    if (r < 0)
        return error_set(e, r, UNREADABLE, strerror(-r));
    r = send_bytes(p, &window, sha256, query->data, &answer, e);
    if (r < 0)
        return r;
    /* It is repeated as XML's text; no ETag has what would have to be escaped there. */
    if (strpbrk(answer.etag, "<>&"))
        return error_set_sentence(e, -EBADE, "object storage at %s names a part as no S3 does", s3_endpoint(p->s3));
    r = buf_addf(list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", number, answer.etag);
    return r < 0 ? error_set_sentence(e, r, "out of memory") : 0;
}

static long read_buf(void *arg, int64_t offset, void *dst, size_t n)
{
    const struct buf *b = arg;
    memcpy(dst, b->data + offset, n);
    return (long)n;
}

/* The storage may answer 200 first and find out later: then the body is an error. An upload that is gone was completed
 * by a request whose answer got lost; what is there tells. */
static int complete(struct put *p, struct buf *list, struct buf *query, struct error *e)
{
    struct fetch_body body = {.len = (int64_t)list->len, .read_at = read_buf, .arg = list};
    struct buf said;
    unsigned char sha256[DIGEST_SHA256_LEN];
    struct s3_xml_error why;
    buf_init(&said, 64 << 10);
    int r = part_query(p, 0, query);
    if (r == 0)
        r = digest_sha256(list->data, list->len, sha256);
    struct s3_request request = {.method = FETCH_POST,
                                 .bucket = p->bucket,
                                 .key = p->key,
                                 .query = query->data,
                                 .headers = {"Content-Type: application/xml"},
                                 .body = &body,
                                 .sha256 = sha256,
                                 .gathered = &said};
    struct fetch_answer answer;
    struct error told;
    r = r < 0 ? error_set_sentence(&told, r, "out of memory") : s3_ask(p->s3, p->call, &request, &answer, &told);
    if (r == 0 && s3_xml_error(said.data ? said.data : "", said.len, &why) == 0)
        r = error_set_sentence(&told, -ENOTCONN, "object storage at %s: %s: %s", s3_endpoint(p->s3), why.code,
                               why.message);
    p->unsure |= r < 0 || !s3_xml_is(said.data ? said.data : "", said.len, "CompleteMultipartUploadResult");
    buf_release(&said);
    return r < 0 && r != -ENOENT ? error_pass(e, r, &told) : 0;
}

static void abort_parts(struct put *p, struct buf *query)
{
    struct s3_call last = {.deadline_ms = clock_monotonic_ms() + 10000, .attempts = 3};
    struct fetch_answer answer;
    if (part_query(p, 0, query) < 0)
        return;
    struct s3_request request = {.method = FETCH_DELETE, .bucket = p->bucket, .key = p->key, .query = query->data};
    (void)!s3_ask(p->s3, &last, &request, &answer, NULL);
}

static int send_parts(struct put *p, int count, struct error *e)
{
    struct buf query, list;
    buf_init(&query, 8192);
    buf_init(&list, COMPLETE_MAX);
    int r = buf_addstr(&list, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 1; r == 0 && i <= count; i++)
        r = send_part(p, i, &query, &list, e);
    if (r == 0)
        r = buf_addstr(&list, "</CompleteMultipartUpload>");
    if (r == 0)
        r = complete(p, &list, &query, e);
    if (r < 0)
        abort_parts(p, &query);
    buf_release(&query);
    buf_release(&list);
    return r;
}

static int put_parts(struct put *p, struct error *e)
{
    int64_t count = (p->body->len + S3_PART_BYTES - 1) / S3_PART_BYTES;
    if (count > PARTS_MAX)
        return error_set(e, -EFBIG, "too large for object storage");
    int r = start_parts(p, e);
    return r < 0 ? r : send_parts(p, (int)count, e);
}

static int put_whole(struct put *p, struct error *e)
{
    struct window window = {.whole = p->body, .len = p->body->len};
    struct fetch_answer answer;
    return send_bytes(p, &window, p->sha256, NULL, &answer, e);
}

/* Afterwards */

static int add_to_digest(void *arg, const void *bytes, size_t n)
{
    return digest_add(arg, bytes, n);
}

static int read_back(const struct put *p, struct error *e)
{
    struct digest digest;
    unsigned char seen[DIGEST_SHA256_LEN];
    struct s3_object object;
    int r = digest_start(&digest, DIGEST_SHA256);
    if (r < 0)
        return error_set_sentence(e, r, "out of memory");
    struct s3_read read = {.len = -1, .max_bytes = p->body->len, .sink = {.write = add_to_digest, .arg = &digest}};
    r = s3_get(p->s3, p->call, p->bucket, p->key, &read, &object, e);
    int ended = digest_end(&digest, seen);
    if (r < 0 || ended < 0)
        return r < 0 ? r : error_set_sentence(e, ended, "OpenSSL failed");
    return memcmp(seen, p->sha256, sizeof seen) == 0 ? 0 : -EIO;
}

/* Some storages make other ETags than the MD5 of what came (encryption, parts of their own): then the bytes tell. What
 * an object of several parts gets for an ETag is not asked: it is made of theirs at best, and each its own way. */
static int verify(const struct put *p, struct s3_object *ret, struct error *e)
{
    int r = s3_head(p->s3, p->call, p->bucket, p->key, ret, e);
    if (r == -ENOENT)
        return error_set_sentence(e, -EIO, "object storage at %s took an object and has it not", s3_endpoint(p->s3));
    if (r < 0)
        return r;
    if (ret->size == p->body->len && p->unsure)
        r = read_back(p, e);
    if (r == -EIO || ret->size != p->body->len)
        return error_set_sentence(e, -EIO, "object storage at %s has something else than what was sent",
                                  s3_endpoint(p->s3));
    return r;
}

int s3_put(struct s3 *s3, const struct s3_call *call, const char *bucket, const char *key,
           const struct fetch_body *body, const char *content_type, const unsigned char *sha256, struct s3_object *ret,
           struct error *e)
{
    struct put p = {.s3 = s3,
                    .call = call,
                    .bucket = bucket,
                    .key = key,
                    .content_type = content_type,
                    .body = body,
                    .sha256 = sha256};
    int r = body->len > S3_PART_BYTES ? put_parts(&p, e) : put_whole(&p, e);
    return r < 0 ? r : verify(&p, ret, e);
}
