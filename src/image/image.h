/* An image: its name, what is known of it, and its bytes. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "codec/digest.h"
#include "fs/safepath.h"

#define IMAGE_COLLECTION_MAX 64

struct image_key {
    const char *collection;
    const char *path; /* as fs/safepath.h allows it */
};

/* For locks and shards by key. */
uint64_t image_key_hash(const struct image_key *key);

/* Collection NUL path NUL, by which tables know an image. Returns the length. */
#define IMAGE_NAME_SIZE (IMAGE_COLLECTION_MAX + SAFEPATH_MAX + 2)
unsigned image_key_name(const struct image_key *key, char ret[IMAGE_NAME_SIZE]);

/* The key in such a name; it points into it. */
struct image_key image_key_named(const char *name);

#define IMAGE_URL_SIZE 1024

/* What is known of an image besides its bytes. The strings are borrowed: from a query's result, from a caller, or,
 * inside a struct image, from that image itself. */
struct image_meta {
    int64_t id; /* 0: not stored yet */
    struct image_key key;
    const char *content_type; /* the entity it belongs to; NULL: none */
    const char *object_id;
    const char *variant;
    const char *mime;
    const char *url; /* where the bytes are when they are not in the row; else NULL */
    int64_t size;
    unsigned char sha256[DIGEST_SHA256_LEN];
    int width; /* pixels; 0: unknown */
    int height;
    int64_t mtime_ns; /* of the file, nanoseconds since 1970 */
    int64_t created_us;
    int64_t updated_us;
    int64_t accessed_us;
    int64_t access_count;
    int64_t deleted_us; /* 0: not in the trash */
    const char *etag;   /* of what comes from an origin: its name for this content, quotes included; NULL: none */
    int64_t checked_us; /* likewise: when the origin last said that it is still this; 0: some time ago */
};

/* Bytes and meta in one allocation, shared by reference count, never changed once shared. Or an open file that holds
 * the bytes. Or, between the database and whoever asks object storage, neither: then they are at meta.url. */
struct image {
    struct image_meta meta; /* meta.size is the number of bytes */
    unsigned char *bytes;   /* NULL: they are in the file, if there is one */
    int fd;                 /* of the file, closed with the image; -1: none */
};

/* Makes an image with copies of the meta's strings and room for meta->size bytes, which the caller fills before it
 * shares the image. One reference, the caller's. NULL when out of memory. */
struct image *image_new(const struct image_meta *meta);

/* Makes an image whose bytes are in an open file; the descriptor is the image's from then on. NULL when out of memory.
 */
struct image *image_new_file(const struct image_meta *meta, int fd);

/* Makes one of an image whose bytes are at meta->url. */
struct image *image_new_linked(const struct image_meta *meta);
int image_is_linked(const struct image *image);

struct image *image_ref(struct image *image);
void image_unref(struct image *image); /* NULL is allowed */

/* Bytes of all images that are in memory just now. */
int64_t image_bytes_held(void);

/* Something that was made from an image and is kept with it, such as an answer. Shared by reference count; it may hold
 * a reference to the image. */
struct image_extra {
    atomic_int references; /* 1 when it is made */
    void (*free)(struct image_extra *extra);
};

struct image_extra *image_extra_ref(struct image_extra *extra);
void image_extra_unref(struct image_extra *extra); /* NULL is allowed */

/* Fills meta's mime, size, sha256, width and height from the bytes. -EINVAL when they are no image that Perdura keeps;
 * the text tells a wrong file name ending ("holds text, not a JPEG") from a wrong content. */
int image_describe(struct image_meta *meta, const void *bytes, size_t n, struct error *e)
    __attribute__((warn_unused_result));

/* Likewise for what is in an open file, which is read from its start by pread(2) and never held whole. Pixels that the
 * file tells of far behind its beginning (IMAGE_HEAD_BYTES) stay unknown. -EIO when it has less than n bytes. */
#define IMAGE_HEAD_BYTES (1 << 20)

int image_describe_file(struct image_meta *meta, int fd, int64_t n, struct error *e)
    __attribute__((warn_unused_result));

/* 0 when the bytes are what meta->sha256 and meta->size say, else -EBADMSG with both digests in the text. */
int image_verify(const struct image_meta *meta, const void *bytes, size_t n, struct error *e)
    __attribute__((warn_unused_result));

#endif
