#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "client/s3_request.h"
#include "codec/base64.h"
#include "codec/url.h"

#define PIECE_BYTES   (64 << 10)
#define PARTS_MAX     10000 /* S3's own limit */
#define COMPLETE_MAX  (2 << 20)
#define ETAG_MD5_SIZE 64

#define UNREADABLE "can't be read for its upload: %s"
#define CHANGED    "changed while it was uploaded"

/* What is known of some bytes before they are sent. */
struct sums {
    unsigned char sha256[DIGEST_SHA256_LEN], md5[DIGEST_MD5_LEN];
};

/* A part of a body, as a body. */
struct window {
    const struct fetch_body *whole;
    int64_t from;
};

static long read_window(void *arg, int64_t offset, void *dst, size_t n)
{
    const struct window *w = arg;
    return w->whole->read_at(w->whole->arg, w->from + offset, dst, n);
}

/* `also` (may be NULL) gets all bytes, too. */
static int add_all(const struct fetch_body *body, struct digest *sha256, struct digest *md5, struct digest *also)
{
    char *piece = malloc(PIECE_BYTES);
    int r = piece ? 0 : -ENOMEM;
    for (int64_t at = 0; r == 0 && at < body->len;) {
        size_t n = body->len - at < PIECE_BYTES ? (size_t)(body->len - at) : PIECE_BYTES;
        long got = body->read_at(body->arg, at, piece, n);
        r = got > 0 ? digest_add(md5, piece, (size_t)got) : got < 0 ? (int)got : -EIO;
        if (r == 0)
            r = digest_add(sha256, piece, (size_t)got);
        if (r == 0 && also)
            r = digest_add(also, piece, (size_t)got);
        at += got;
    }
    free(piece);
    return r;
}

static int sum_up(const struct fetch_body *body, struct sums *ret, struct digest *also)
{
    struct digest sha256, md5;
    int r = digest_start(&sha256, DIGEST_SHA256);
    if (r < 0)
        return r;
    r = digest_start(&md5, DIGEST_MD5);
    if (r < 0) {
        digest_end(&sha256, NULL);
        return r;
    }
    r = add_all(body, &sha256, &md5, also);
    int ended = digest_end(&sha256, r < 0 ? NULL : ret->sha256);
    int ended_too = digest_end(&md5, r < 0 ? NULL : ret->md5);
    return r < 0 ? r : ended < 0 ? ended : ended_too;
}

/* An upload. */
struct put {
    struct s3 *s3;
    const struct s3_call *call;
    const char *bucket, *key, *content_type;
    const struct fetch_body *body;
    char etag[ETAG_MD5_SIZE]; /* that the storage should tell: from the MD5 of what is sent */
    char upload_id[S3_XML_UPLOAD_ID_SIZE];
    struct digest parts;           /* in parts: MD5 of the parts' MD5s */
    struct digest whole;           /* and the SHA-256 of all of them */
    const unsigned char *expected; /* what that has to be; NULL: anything */
    unsigned char sha256[DIGEST_SHA256_LEN];
};

/* Sends bytes as an object, or as the part that the query names, and tells the ETag. */
static int send_bytes(const struct put *p, const struct fetch_body *body, const struct sums *sums, const char *query,
                      struct fetch_answer *ret, struct error *e)
{
    char md5[64] = "Content-MD5: ", type[160];
    size_t n = strlen(md5);
    md5[n + base64_encode(md5 + n, sums->md5, sizeof sums->md5)] = '\0';
    (void)snprintf(type, sizeof type, "Content-Type: %s", p->content_type);
    struct s3_request request = {.method = FETCH_PUT,
                                 .bucket = p->bucket,
                                 .key = p->key,
                                 .query = query,
                                 .headers = {md5, query ? NULL : type},
                                 .body = body,
                                 .sha256 = sums->sha256};
    return s3_ask(p->s3, p->call, &request, ret, e);
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
        r = error_set(e, -EPROTO, "object storage at %s begins an upload in parts as no S3 does", s3_endpoint(p->s3));
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
    int64_t from = (number - 1) * S3_PART_BYTES, left = p->body->len - from;
    struct window window = {.whole = p->body, .from = from};
    struct fetch_body body = {
        .len = left < S3_PART_BYTES ? left : S3_PART_BYTES, .read_at = read_window, .arg = &window};
    struct sums sums;
    struct fetch_answer answer;
    int r = sum_up(&body, &sums, &p->whole);
    if (r == 0)
        r = digest_add(&p->parts, sums.md5, sizeof sums.md5);
    if (r == 0)
        r = part_query(p, number, query);
    if (r < 0)
        return error_set(e, r, UNREADABLE, strerror(-r));
    r = send_bytes(p, &body, &sums, query->data, &answer, e);
    if (r < 0)
        return r;
    /* It is repeated as XML's text; no ETag has what would have to be escaped there. */
    if (strpbrk(answer.etag, "<>&"))
        return error_set(e, -EPROTO, "object storage at %s names a part as no S3 does", s3_endpoint(p->s3));
    r = buf_addf(list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", number, answer.etag);
    return r < 0 ? error_set(e, r, "out of memory") : 0;
}

static long read_buf(void *arg, int64_t offset, void *dst, size_t n)
{
    const struct buf *b = arg;
    memcpy(dst, b->data + offset, n);
    return (long)n;
}

/* The storage may answer 200 first and find out later: then the body is an error. An upload that is gone was completed
 * by a request whose answer got lost; the check behind this tells. */
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
    r = r < 0 ? error_set(&told, r, "out of memory") : s3_ask(p->s3, p->call, &request, &answer, &told);
    if (r == 0 && s3_xml_error(said.data ? said.data : "", said.len, &why) == 0)
        r = error_set(&told, -ENOTCONN, "object storage at %s: %s: %s", s3_endpoint(p->s3), why.code, why.message);
    buf_release(&said);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? error_set(e, r, "%s", told.text) : 0;
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
    int r = digest_start(&p->whole, DIGEST_SHA256);
    int begun = r == 0;
    if (r == 0)
        r = buf_addstr(&list, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 1; r == 0 && i <= count; i++)
        r = send_part(p, i, &query, &list, e);
    int ended = begun ? digest_end(&p->whole, p->sha256) : 0;
    if (r == 0)
        r = ended;
    if (r == 0 && p->expected && memcmp(p->sha256, p->expected, sizeof p->sha256) != 0)
        r = error_set(e, -ESTALE, CHANGED);
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

static void hex(char *dst, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(dst + 2 * i, 3, "%02x", bytes[i]);
}

static int put_parts(struct put *p, struct error *e)
{
    unsigned char md5[DIGEST_MD5_LEN];
    char digits[2 * DIGEST_MD5_LEN + 1];
    int64_t count = (p->body->len + S3_PART_BYTES - 1) / S3_PART_BYTES;
    if (count > PARTS_MAX)
        return error_set(e, -EFBIG, "too large for object storage");
    int r = start_parts(p, e);
    if (r < 0)
        return r;
    r = digest_start(&p->parts, DIGEST_MD5);
    if (r < 0)
        return error_set(e, r, "out of memory");
    r = send_parts(p, (int)count, e);
    int ended = digest_end(&p->parts, md5);
    if (r < 0 || ended < 0)
        return r < 0 ? r : error_set(e, ended, "OpenSSL failed");
    hex(digits, md5, sizeof md5);
    (void)snprintf(p->etag, sizeof p->etag, "\"%s-%d\"", digits, (int)count);
    return 0;
}

static int put_whole(struct put *p, struct error *e)
{
    struct fetch_answer answer;
    struct sums sums;
    char digits[2 * DIGEST_MD5_LEN + 1];
    int r = sum_up(p->body, &sums, NULL);
    if (r < 0)
        return error_set(e, r, UNREADABLE, strerror(-r));
    memcpy(p->sha256, sums.sha256, sizeof p->sha256);
    if (p->expected && memcmp(p->sha256, p->expected, sizeof p->sha256) != 0)
        return error_set(e, -ESTALE, CHANGED);
    hex(digits, sums.md5, sizeof sums.md5);
    (void)snprintf(p->etag, sizeof p->etag, "\"%s\"", digits);
    return send_bytes(p, p->body, &sums, NULL, &answer, e);
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
        return error_set(e, r, "out of memory");
    struct s3_read read = {.len = -1, .max_bytes = p->body->len, .sink = {.write = add_to_digest, .arg = &digest}};
    r = s3_get(p->s3, p->call, p->bucket, p->key, &read, &object, e);
    int ended = digest_end(&digest, seen);
    if (r < 0 || ended < 0)
        return r < 0 ? r : error_set(e, ended, "OpenSSL failed");
    return memcmp(seen, p->sha256, sizeof seen) == 0 ? 0 : -EIO;
}

/* Some storages make other ETags (encryption, parts of their own): then the bytes themselves tell. */
static int verify(const struct put *p, struct s3_object *ret, struct error *e)
{
    int r = s3_head(p->s3, p->call, p->bucket, p->key, ret, e);
    if (r == -ENOENT)
        return error_set(e, -EIO, "object storage at %s took an object and has it not", s3_endpoint(p->s3));
    if (r < 0)
        return r;
    if (ret->size == p->body->len && strcasecmp(ret->etag, p->etag) != 0)
        r = read_back(p, e);
    if (r == -EIO || ret->size != p->body->len)
        return error_set(e, -EIO, "object storage at %s has something else than what was sent", s3_endpoint(p->s3));
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
                    .expected = sha256};
    int r = body->len > S3_PART_BYTES ? put_parts(&p, e) : put_whole(&p, e);
    return r < 0 ? r : verify(&p, ret, e);
}
