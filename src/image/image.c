#include "image/image.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/sniff.h"
#include "fs/fdio.h"

#define NO_SHA256 "SHA-256 is not available in this OpenSSL"

struct owned_image {
    struct image image;
    atomic_int references;
    int64_t held; /* its bytes in memory */
    char strings[];
};

/* FNV-1a, the NULs included: no two keys are the same bytes. */
static uint64_t add_hash(uint64_t h, const char *text)
{
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return h;
}

uint64_t image_key_hash(const struct image_key *key)
{
    return add_hash(add_hash(UINT64_C(0xcbf29ce484222325), key->collection), key->path);
}

unsigned image_key_name(const struct image_key *key, char ret[IMAGE_NAME_SIZE])
{
    size_t collection = strlen(key->collection) + 1, path = strlen(key->path) + 1;
    memcpy(ret, key->collection, collection);
    memcpy(ret + collection, key->path, path);
    return (unsigned)(collection + path);
}

struct image_key image_key_named(const char *name)
{
    return (struct image_key){name, name + strlen(name) + 1};
}

static size_t room(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Copies text to *at, moves *at behind it and returns the copy. */
static const char *keep(char **at, const char *text)
{
    if (!text)
        return NULL;
    char *copy = *at;
    size_t n = room(text);
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

static atomic_llong held; /* the process's memory is what it is about */

int64_t image_bytes_held(void)
{
    return atomic_load_explicit(&held, memory_order_relaxed);
}

static struct image *make(const struct image_meta *meta, size_t bytes)
{
    size_t strings = room(meta->key.collection) + room(meta->key.path) + room(meta->content_type) +
                     room(meta->object_id) + room(meta->variant) + room(meta->mime) + room(meta->url) +
                     room(meta->etag);
    struct owned_image *own = malloc(sizeof *own + strings + bytes + 1);
    if (!own)
        return NULL;

    struct image *image = &own->image;
    char *at = own->strings;
    image->meta = *meta;
    image->meta.key.collection = keep(&at, meta->key.collection);
    image->meta.key.path = keep(&at, meta->key.path);
    image->meta.content_type = keep(&at, meta->content_type);
    image->meta.object_id = keep(&at, meta->object_id);
    image->meta.variant = keep(&at, meta->variant);
    image->meta.mime = keep(&at, meta->mime);
    image->meta.url = keep(&at, meta->url);
    image->meta.etag = keep(&at, meta->etag);
    image->bytes = (unsigned char *)at;
    image->fd = -1;
    own->held = (int64_t)bytes;
    atomic_fetch_add_explicit(&held, own->held, memory_order_relaxed);
    atomic_init(&own->references, 1);
    return image;
}

struct image *image_new(const struct image_meta *meta)
{
    return make(meta, (size_t)meta->size);
}

struct image *image_new_file(const struct image_meta *meta, int fd)
{
    struct image *image = make(meta, 0);
    if (!image)
        return NULL;
    image->bytes = NULL;
    image->fd = fd;
    return image;
}

struct image *image_new_linked(const struct image_meta *meta)
{
    return image_new_file(meta, -1);
}

int image_is_linked(const struct image *image)
{
    return !image->bytes && image->fd < 0;
}

struct image *image_ref(struct image *image)
{
    atomic_fetch_add_explicit(&((struct owned_image *)image)->references, 1, memory_order_relaxed);
    return image;
}

void image_unref(struct image *image)
{
    struct owned_image *own = (struct owned_image *)image;
    if (own && atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel) == 1) {
        if (image->fd >= 0)
            close(image->fd);
        atomic_fetch_sub_explicit(&held, own->held, memory_order_relaxed);
        free(own);
    }
}

struct image_extra *image_extra_ref(struct image_extra *extra)
{
    atomic_fetch_add_explicit(&extra->references, 1, memory_order_relaxed);
    return extra;
}

void image_extra_unref(struct image_extra *extra)
{
    if (extra && atomic_fetch_sub_explicit(&extra->references, 1, memory_order_acq_rel) == 1)
        extra->free(extra);
}

/* What the bytes look like, for someone who wonders why their picture was refused. */
static const char *guess(const unsigned char *bytes, size_t n)
{
    if (n >= 5 && memcmp(bytes, "%PDF-", 5) == 0)
        return "a PDF";
    if (n >= 8 && memcmp(bytes + 4, "ftyp", 4) == 0)
        return "a video";
    size_t look = n < 512 ? n : 512;
    for (size_t i = 0; i < look; i++)
        if (bytes[i] < 0x20 && !memchr("\t\n\r\f", bytes[i], 4))
            return "unknown data";
    return n >= 1 && bytes[0] == '<' ? "HTML or XML" : "text";
}

static int take_head(struct image_meta *meta, const void *bytes, size_t n, struct error *e)
{
    if (!n)
        return error_set(e, -EINVAL, "is empty");

    struct sniff seen = sniff(bytes, n);
    if (seen.kind == SNIFF_NONE) {
        const char *claimed = sniff_mime(sniff_claimed(meta->key.path));
        return error_set(e, -EINVAL, "holds %s, not %s%s", guess(bytes, n), claimed ? "" : "an image",
                         claimed ? claimed : "");
    }
    meta->mime = sniff_mime(seen.kind);
    meta->width = seen.width;
    meta->height = seen.height;
    return 0;
}

int image_describe(struct image_meta *meta, const void *bytes, size_t n, struct error *e)
{
    int r = take_head(meta, bytes, n, e);
    if (r < 0)
        return r;
    if (digest_sha256(bytes, n, meta->sha256) < 0)
        return error_set_sentence(e, -EIO, NO_SHA256);
    meta->size = (int64_t)n;
    return 0;
}

/* `piece` has room for IMAGE_HEAD_BYTES, and has the first ones already. */
static int sum_up(struct image_meta *meta, int fd, int64_t size, char *piece)
{
    struct digest sha256;
    int r = digest_start(&sha256, DIGEST_SHA256);
    if (r < 0)
        return r;
    for (int64_t at = 0; r == 0 && at < size;) {
        size_t n = size - at < IMAGE_HEAD_BYTES ? (size_t)(size - at) : IMAGE_HEAD_BYTES;
        if (at)
            r = fdio_read(fd, piece, n, at);
        if (r == 0)
            r = digest_add(&sha256, piece, n);
        at += (int64_t)n;
    }
    int ended = digest_end(&sha256, r < 0 ? NULL : meta->sha256);
    return r < 0 ? r : ended;
}

int image_describe_file(struct image_meta *meta, int fd, int64_t n, struct error *e)
{
    size_t head = n < IMAGE_HEAD_BYTES ? (size_t)n : IMAGE_HEAD_BYTES;
    char *piece = malloc(head + 1);
    if (!piece)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    int r = fdio_read(fd, piece, head, 0);
    if (r < 0) {
        error_set(e, r, "can't be read: %s", strerror(-r));
    } else if ((r = take_head(meta, piece, head, e)) == 0) {
        r = sum_up(meta, fd, n, piece);
        if (r < 0)
            error_set(e, r, "can't be read: %s", strerror(-r));
        meta->size = n;
    }
    free(piece);
    return r;
}

int image_verify(const struct image_meta *meta, const void *bytes, size_t n, struct error *e)
{
    unsigned char sha256[DIGEST_SHA256_LEN];
    if ((int64_t)n != meta->size)
        return error_set(e, -EBADMSG, "is damaged: it has %zu bytes, its row says %lld", n, (long long)meta->size);
    if (digest_sha256(bytes, n, sha256) < 0)
        return error_set_sentence(e, -EIO, NO_SHA256);
    if (memcmp(sha256, meta->sha256, sizeof sha256) != 0) {
        char is[DIGEST_HEX_SIZE], said[DIGEST_HEX_SIZE];
        digest_hex(is, sha256);
        digest_hex(said, meta->sha256);
        return error_set(e, -EBADMSG, "is damaged: its bytes have sha256 %.16s..., its row says %.16s...", is, said);
    }
    return 0;
}
