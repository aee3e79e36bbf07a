#include "store/proxy_intake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "codec/sniff_end.h"
#include "fs/fdio.h"

#define PIECE (64 << 10)

void proxy_intake_init(struct proxy_intake *in, struct tier_copies *copies, const struct image_key *key,
                       int64_t max_bytes)
{
    *in = (struct proxy_intake){.copies = copies, .key = key, .max_bytes = max_bytes, .fd = -1};
    buf_init(&in->memory, PROXY_INTAKE_MEMORY);
    spool_init(&in->spool, 0);
}

static void drop_file(struct proxy_intake *in)
{
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
    if (in->name[0])
        tier_copies_discard(in->copies, in->key->collection, in->name);
    in->name[0] = '\0';
}

static void empty(struct proxy_intake *in)
{
    buf_reset(&in->memory);
    if (in->is_digesting)
        (void)digest_end(&in->digest, NULL);
    drop_file(in);
    spool_release(&in->spool);
    in->is_digesting = in->is_spooled = 0;
    in->size = 0;
    in->why.code = 0;
}

void proxy_intake_release(struct proxy_intake *in)
{
    empty(in);
    buf_release(&in->memory);
}

static int refuse_size(struct proxy_intake *in)
{
    return error_set(&in->why, -EFBIG, "is larger than the %lld bytes of PERDURA_MAX_UPLOAD", (long long)in->max_bytes);
}

int proxy_intake_begin(void *arg, int64_t size)
{
    struct proxy_intake *in = arg;
    empty(in);
    return size > in->max_bytes ? refuse_size(in) : 0;
}

/* The disk can't take it: what is in the file already is copied to where there may be room. */
static int move_to_spool(struct proxy_intake *in)
{
    char piece[PIECE];
    int r = 0;
    for (int64_t at = 0; r == 0 && in->fd >= 0 && at < in->size; at += PIECE) {
        size_t n = in->size - at < PIECE ? (size_t)(in->size - at) : PIECE;
        r = fdio_read(in->fd, piece, n, at) < 0 ? error_set(&in->why, -EIO, "was not taken: the disk fails")
                                                : spool_add(&in->spool, piece, n, &in->why);
    }
    drop_file(in);
    in->is_spooled = 1;
    return r;
}

static int write_file(struct proxy_intake *in, const void *bytes, size_t n)
{
    int r = digest_add(&in->digest, bytes, n);
    if (r < 0)
        return error_set(&in->why, r, "SHA-256 is not available in this OpenSSL");
    if (!in->is_spooled && in->fd >= 0 && fdio_write(in->fd, bytes, n) == 0) {
        in->size += (int64_t)n;
        return 0;
    }
    if (!in->is_spooled)
        r = move_to_spool(in);
    if (r == 0)
        r = spool_add(&in->spool, bytes, n, &in->why);
    in->size += (int64_t)n;
    return r;
}

/* The first bytes go from memory to a file. */
static int begin_file(struct proxy_intake *in)
{
    if (sniff(in->memory.data, in->memory.len).kind == SNIFF_NONE)
        return error_set(&in->why, -EINVAL, "is no image");
    int r = digest_start(&in->digest, DIGEST_SHA256);
    if (r < 0)
        return error_set(&in->why, r, "SHA-256 is not available in this OpenSSL");
    in->is_digesting = 1;
    int fd = tier_copies_begin(in->copies, in->key->collection, in->name, NULL);
    if (fd >= 0)
        in->fd = fd;
    in->size = 0;
    return write_file(in, in->memory.data, in->memory.len);
}

int proxy_intake_write(void *arg, const void *bytes, size_t n)
{
    struct proxy_intake *in = arg;
    if ((int64_t)n > in->max_bytes - in->size)
        return refuse_size(in);
    if (!in->is_digesting && in->memory.len + n <= in->memory.max) {
        int r = buf_add(&in->memory, bytes, n);
        in->size = (int64_t)in->memory.len;
        return r < 0 ? error_set(&in->why, r, "out of memory") : 0;
    }
    int r = in->is_digesting ? 0 : begin_file(in);
    return r < 0 ? r : write_file(in, bytes, n);
}

static int image_of_memory(struct proxy_intake *in, struct image_meta *meta, struct image **ret, struct error *e)
{
    int r = image_describe(meta, in->memory.data, in->memory.len, e);
    if (r < 0)
        return r;
    *ret = image_new(meta);
    if (!*ret)
        return error_set(e, -ENOMEM, "out of memory for %zu bytes", in->memory.len);
    memcpy((*ret)->bytes, in->memory.data, in->memory.len);
    return 0;
}

/* What kind it is was told by its beginning, which is in memory still. */
static int image_of_file(struct proxy_intake *in, struct image_meta *meta, struct image **ret, struct error *e)
{
    struct sniff seen = sniff(in->memory.data, in->memory.len);
    int r = digest_end(&in->digest, meta->sha256);
    in->is_digesting = 0;
    if (r < 0)
        return error_set(e, r, "SHA-256 is not available in this OpenSSL");
    meta->mime = sniff_mime(seen.kind);
    meta->size = in->size;
    meta->width = seen.width;
    meta->height = seen.height;
    int fd = fcntl(in->is_spooled ? in->spool.fd : in->fd, F_DUPFD_CLOEXEC, 0);
    *ret = fd < 0 ? NULL : image_new_file(meta, fd);
    if (*ret)
        return 0;
    if (fd >= 0)
        close(fd);
    return error_set(e, -ENOMEM, "there are too many open files, or no memory is left");
}

static long read_memory(void *arg, void *dst, size_t n, int64_t offset)
{
    const struct proxy_intake *in = arg;
    size_t left = in->memory.len - (size_t)offset;
    memcpy(dst, in->memory.data + offset, n < left ? n : left);
    return (long)(n < left ? n : left);
}

static long read_file(void *arg, void *dst, size_t n, int64_t offset)
{
    const struct proxy_intake *in = arg;
    return pread(in->is_spooled ? in->spool.fd : in->fd, dst, n, (off_t)offset);
}

/* Where nobody has told how many bytes there are, the format's own end has to be among them. */
static int check_end(struct proxy_intake *in, struct error *e)
{
    enum sniff_kind kind = sniff(in->memory.data, in->memory.len).kind;
    if (kind == SNIFF_NONE || sniff_is_whole(kind, in->is_digesting ? read_file : read_memory, in, in->size))
        return 0;
    return error_set(e, -EBADE, "came without its length, and its end was not seen");
}

int proxy_intake_image(struct proxy_intake *in, const struct tier_origin_answer *answer, int64_t checked_us,
                       struct image **ret, struct error *e)
{
    struct image_meta meta = {.key = *in->key,
                              .etag = *answer->etag ? answer->etag : NULL,
                              .mtime_ns = answer->modified_s * INT64_C(1000000000),
                              .checked_us = checked_us};
    int r = answer->end_unseen ? check_end(in, e) : 0;
    if (r < 0)
        return r;
    return in->is_digesting ? image_of_file(in, &meta, ret, e) : image_of_memory(in, &meta, ret, e);
}

int proxy_intake_keep(struct proxy_intake *in, const struct image *image, struct filestate *ret_state, struct error *e)
{
    char name[STAGING_NAME_SIZE];
    if (in->is_spooled)
        return error_set(e, -ENOSPC, "can't be kept: the disk could not take it while it came");
    memcpy(name, in->name, sizeof name);
    in->name[0] = '\0'; /* it goes with the call, whatever comes of it */
    return tier_copies_put(in->copies, image, *name ? name : NULL, ret_state, e);
}
