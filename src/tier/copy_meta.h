/* What is known of a copy beside its bytes: a small text in a file of its own.
 *
 *     perdura-copy 1
 *     path user_1/pet%205.jpg
 *     content <sha256> <bytes> <modified, seconds since 1970> <ETag, or nothing>
 *
 * Which of the lines `content` counts is told by the bytes: the one with their sha256. So bytes and note need not
 * change in one step (tier_copies.h). */
#ifndef TIER_COPY_META_H
#define TIER_COPY_META_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/digest.h"
#include "fs/safepath.h"

#define COPY_META_CONTENTS  3
#define COPY_META_MAX_BYTES 16384
#define COPY_ETAG_SIZE      256

struct copy_content {
    unsigned char sha256[DIGEST_SHA256_LEN];
    int64_t size;
    int64_t modified_s;        /* as its origin says, or else when it was fetched first */
    char etag[COPY_ETAG_SIZE]; /* of its origin, quotes included; "": it has none */
};

struct copy_meta {
    char path[SAFEPATH_MAX + 1];
    int count;
    struct copy_content contents[COPY_META_CONTENTS]; /* the newest first */
};

/* -EBADMSG: it is no note. */
int copy_meta_parse(struct copy_meta *ret, const char *text, size_t n) __attribute__((warn_unused_result));

/* Appends the text. -EMSGSIZE, -ENOMEM. */
int copy_meta_format(struct buf *out, const struct copy_meta *note) __attribute__((warn_unused_result));

/* Puts a content before the others; one with the same bytes, or else the oldest of too many, goes. */
void copy_meta_add(struct copy_meta *note, const struct copy_content *content);

/* The content with this sha256, or NULL. */
const struct copy_content *copy_meta_find(const struct copy_meta *note, const unsigned char sha256[DIGEST_SHA256_LEN]);

/* The name of a copy's file: the MD5 of the image's path and, behind a dot, its ending as it is written there; without
 * one when that is not 1 to 8 letters and digits. -EIO: OpenSSL has no MD5. */
#define COPY_NAME_SIZE 42
int copy_name(char dst[COPY_NAME_SIZE], const char *path) __attribute__((warn_unused_result));

/* Whether a file's name is one of those. */
int copy_name_is(const char *name);

/* Whether a copy that was checked then may be served unasked. A moment that lies ahead tells of a clock that was wrong,
 * and counts for nothing. */
int copy_is_fresh(int64_t checked_us, int ttl_s, int64_t now_us);

#endif
