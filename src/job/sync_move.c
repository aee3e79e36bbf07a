/* One upload: from its row to its object. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/httpdate.h"
#include "config/config.h"
#include "job/sync_internal.h"

#define CALL_MS         60000 /* for one call to the storage, its repetitions included, and more for what it carries: */
#define CALL_BYTES_A_MS 50
#define ATTEMPTS        5

void sync_move_init(struct sync_move *m, struct store *store, struct s3 *s3, const atomic_int *cancel)
{
    *m = (struct sync_move){.store = store, .s3 = s3, .cancel = cancel};
    buf_init(&m->buf, (size_t)store_config(store)->inline_max_bytes + UPLOADS_PART_BYTES);
}

void sync_move_release(struct sync_move *m)
{
    buf_release(&m->buf);
}

static struct s3_call call_for(const struct sync_move *m, int64_t bytes)
{
    return (struct s3_call){.deadline_ms = clock_monotonic_ms() + CALL_MS + bytes / CALL_BYTES_A_MS,
                            .attempts = ATTEMPTS,
                            .cancel = m->cancel};
}

static int have_part(struct sync_move *m, int64_t part)
{
    if (part == m->part)
        return 0;
    m->part = -1;
    int r = uploads_read(m->store, m->upload, part, &m->buf, &m->reading);
    if (r == 0)
        m->part = part;
    return r;
}

/* The storage may ask for any piece again. */
static long read_at(void *arg, int64_t offset, void *dst, size_t n)
{
    struct sync_move *m = arg;
    int64_t part = m->upload->parts ? offset / UPLOADS_PART_BYTES : 0, from = offset - part * UPLOADS_PART_BYTES;
    int r = have_part(m, part);
    if (r < 0)
        return r;
    if (from >= (int64_t)m->buf.len)
        return error_set(&m->reading, -EBADMSG, "its row is damaged: bytes are missing");
    size_t left = m->buf.len - (size_t)from;
    if (n > left)
        n = left;
    memcpy(dst, m->buf.data + from, n);
    return (long)n;
}

/* Where the object goes. To be freed. */
static char *key_of(const struct sync_move *m)
{
    char *key;
    return asprintf(&key, "%s%s", m->origin->prefix, m->upload->key) < 0 ? NULL : key;
}

static int add_to_digest(void *arg, const void *bytes, size_t n)
{
    return digest_add(arg, bytes, n);
}

/* Whether an object of our size is what we have: 1, 0, or as s3_get. */
static int is_same(struct sync_move *m, const char *key, struct error *e)
{
    struct digest digest;
    unsigned char seen[DIGEST_SHA256_LEN];
    struct s3_object object;
    struct s3_call call = call_for(m, m->upload->size);
    int r = digest_start(&digest, DIGEST_SHA256);
    if (r < 0)
        return error_set(e, r, "no SHA-256: OpenSSL fails");
    const struct s3_read read = {
        .len = -1, .max_bytes = m->upload->size, .sink = {.write = add_to_digest, .arg = &digest}};
    r = s3_get(m->s3, &call, m->origin->bucket, key, &read, &object, e);
    int ended = digest_end(&digest, seen);
    if (r == -EFBIG)
        return 0;
    if (r == 0 && ended < 0)
        return error_set(e, ended, "no SHA-256: OpenSSL fails");
    return r < 0 ? r : memcmp(seen, m->upload->sha256, sizeof seen) == 0;
}

/* Another object has our key. 0: ours replaces it. */
static int resolve(const struct sync_move *m, const struct s3_object *object, struct error *e)
{
    enum config_conflict rule = store_config(m->store)->conflict;
    int64_t modified_s;
    int ours_is_newer = httpdate_parse(object->last_modified, clock_realtime_us() / 1000000, &modified_s) == 0 &&
                        modified_s < m->upload->created_us / 1000000;
    if (rule == CONFIG_CONFLICT_DISK || (rule == CONFIG_CONFLICT_NEWEST && ours_is_newer))
        return 0;
    return error_set(e, -EEXIST,
                     "the bucket \"%s\" has an object with other content under its key, %s%s; PERDURA_CONFLICT=disk "
                     "would replace it",
                     m->origin->bucket, m->origin->prefix, m->upload->key);
}

/* What is there already? 1: the same; 0: nothing, or what is to be replaced. */
static int look(struct sync_move *m, const char *key, struct error *e)
{
    struct s3_object object;
    struct s3_call call = call_for(m, 0);
    int r = s3_head(m->s3, &call, m->origin->bucket, key, &object, e);
    if (r == -ENOENT)
        return 0;
    if (r == 0 && object.size == m->upload->size)
        r = is_same(m, key, e);
    return r != 0 ? r : resolve(m, &object, e);
}

/* Not every storage compares what comes with the sha256 that was told: what is damaged must not get there. */
static int check_bytes(struct sync_move *m)
{
    struct digest digest;
    unsigned char seen[DIGEST_SHA256_LEN];
    int64_t parts = m->upload->parts ? m->upload->parts : 1, size = 0;
    int r = digest_start(&digest, DIGEST_SHA256);
    if (r < 0)
        return error_set(&m->reading, r, "no SHA-256: OpenSSL fails");
    for (int64_t i = 0; r == 0 && i < parts; i++) {
        r = have_part(m, i);
        if (r == 0 && digest_add(&digest, m->buf.data, m->buf.len) < 0)
            r = error_set(&m->reading, -EIO, "no SHA-256: OpenSSL fails");
        size += r == 0 ? (int64_t)m->buf.len : 0;
    }
    int ended = digest_end(&digest, seen);
    if (r == 0 && (ended < 0 || size != m->upload->size || memcmp(seen, m->upload->sha256, sizeof seen) != 0))
        r = error_set(&m->reading, -EBADMSG, "its row is damaged: the bytes are not what they were when it came");
    return r;
}

static int put(struct sync_move *m, const char *key, struct error *e)
{
    const struct fetch_body body = {.len = m->upload->size, .read_at = read_at, .arg = m};
    struct s3_object object;
    struct s3_call call = call_for(m, m->upload->size);
    int r = check_bytes(m);
    if (r == 0)
        r = s3_put(m->s3, &call, m->origin->bucket, key, &body, m->upload->mime, m->upload->sha256, &object, e);
    if (r < 0 && m->reading.code)
        *e = m->reading;
    return r < 0 && m->reading.code ? m->reading.code : r;
}

int sync_move(struct sync_move *m, const struct upload *u, const struct image_origin *origin, struct error *e)
{
    m->upload = u;
    m->origin = origin;
    m->part = -1;
    m->reading.code = 0;
    char *key = key_of(m);
    if (!key)
        return error_set(e, -ENOMEM, "out of memory");
    int r = look(m, key, e);
    if (r == 0)
        r = put(m, key, e);
    free(key);
    return r;
}
