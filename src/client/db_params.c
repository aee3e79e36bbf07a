#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "client/db.h"
#include "client/db_wire.h"

/* One array in array_recv's form: dimensions, has-null flag, element type, length, lower bound, then the elements,
 * each with its length in front (-1 for null). PostgreSQL, src/backend/utils/adt/arrayfuncs.c. */
#define ARRAY_HEADER 20

static void put_be32(char *at, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);
    memcpy(at, &wire, sizeof wire);
}

static int32_t get_be32(const char *at)
{
    uint32_t wire;
    memcpy(&wire, at, sizeof wire);
    return (int32_t)be32toh(wire);
}

static void put_be64(char *at, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);
    memcpy(at, &wire, sizeof wire);
}

void db_params_init(struct db_params *p)
{
    p->count = 0;
}

static void add(struct db_params *p, const char *value, size_t n, int format)
{
    assert(p->count < DB_PARAMS_MAX);
    assert(n <= INT_MAX);
    p->values[p->count] = value;
    p->lengths[p->count] = (int)n;
    p->formats[p->count] = format;
    p->count++;
}

void db_param_text(struct db_params *p, const char *text)
{
    add(p, text, text ? strlen(text) : 0, 1);
}

void db_param_bytes(struct db_params *p, const void *bytes, size_t n)
{
    add(p, bytes, n, 1);
}

void db_param_int(struct db_params *p, int64_t value)
{
    char *at = p->numbers[p->count];
    put_be64(at, value);
    add(p, at, 8, 1);
}

void db_param_time(struct db_params *p, int64_t us)
{
    db_param_int(p, us - DB_EPOCH_US);
}

void db_param_array(struct db_params *p, struct db_array *a)
{
    assert(a->count); /* an empty batch is not sent */
    char *at = a->buf.data;
    put_be32(at, 1);
    put_be32(at + 4, a->has_null);
    put_be32(at + 8, (int32_t)a->type);
    put_be32(at + 12, a->count);
    put_be32(at + 16, 1);
    add(p, at, a->buf.len, 1);
}

void db_array_init(struct db_array *a, enum db_type type, size_t max_bytes)
{
    buf_init(&a->buf, max_bytes + ARRAY_HEADER);
    a->type = type;
    db_array_reset(a);
}

void db_array_release(struct db_array *a)
{
    buf_release(&a->buf);
    db_array_reset(a);
}

void db_array_reset(struct db_array *a)
{
    buf_reset(&a->buf);
    a->count = 0;
    a->has_null = 0;
}

static int start(struct db_array *a)
{
    static const char blank[ARRAY_HEADER];
    return a->buf.len ? 0 : buf_add(&a->buf, blank, sizeof blank);
}

int db_array_reserve(struct db_array *a, size_t n, char **ret)
{
    int r = start(a);
    if (r < 0)
        return r;
    char *at;
    if (n > INT_MAX)
        return -EMSGSIZE;
    r = buf_reserve(&a->buf, n + 4, &at);
    if (r < 0)
        return r;
    put_be32(at, (int32_t)n);
    a->buf.len += n + 4;
    a->count++;
    *ret = at + 4;
    return 0;
}

int db_array_add(struct db_array *a, const void *bytes, size_t n)
{
    char *at;
    int r = db_array_reserve(a, n, &at);
    if (r == 0 && n)
        memcpy(at, bytes, n);
    return r;
}

int db_array_add_text(struct db_array *a, const char *text)
{
    if (text)
        return db_array_add(a, text, strlen(text));

    char *at;
    int r = db_array_reserve(a, 0, &at);
    if (r == 0) {
        put_be32(at - 4, -1);
        a->has_null = 1;
    }
    return r;
}

int db_array_add_int(struct db_array *a, int64_t value)
{
    char *at;
    int r = db_array_reserve(a, 8, &at);
    if (r == 0)
        put_be64(at, value);
    return r;
}

int db_array_add_time(struct db_array *a, int64_t us)
{
    return db_array_add_int(a, us - DB_EPOCH_US);
}

/* Where element `index` begins, or the end behind the last one. */
static const char *element(const struct db_array *a, int index)
{
    const char *at = a->buf.data + ARRAY_HEADER;
    for (int i = 0; i < index; i++) {
        int32_t n = get_be32(at);
        at += 4 + (n > 0 ? n : 0);
    }
    return at;
}

void db_array_cut(struct db_array *a, int count)
{
    assert(count >= 0 && count <= a->count);
    if (count == a->count)
        return;
    a->buf.len = (size_t)(element(a, count) - a->buf.data);
    a->count = count;
}

int db_array_copy(struct db_array *a, const struct db_array *from, int index)
{
    assert(index >= 0 && index < from->count);
    const char *at = element(from, index);
    int32_t n = get_be32(at);
    if (n < 0)
        return db_array_add_text(a, NULL);
    return db_array_add(a, at + 4, (size_t)n);
}
