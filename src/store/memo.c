#include "store/memo.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"

#define ABSENT_MS  5000
#define ABSENT_MAX 4096
#define ENTITY_MS  60000
#define ENTITY_MAX 4096
#define OWN_MS     30000
#define OWN_MAX    4096

#define ENTITY_NAME_SIZE 1024

struct absent {
    int64_t until_ms;
    int code;
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

struct filling {
    struct memo *memo;
    struct image *image;
    int forgotten; /* it is another image now: not among the others any more */
    UT_hash_handle hh;
    unsigned name_len;
    char name[];
};

struct entity {
    int64_t until_ms;
    uint64_t version;
    UT_hash_handle hh;
    unsigned name_len, image_len;
    char name[]; /* the entity's, and behind it the image's */
};

struct own {
    int64_t until_ms;
    unsigned char sha256[DIGEST_SHA256_LEN];
    enum memo_own own;
    UT_hash_handle hh;
    unsigned name_len;
    char name[];
};

struct memo {
    pthread_mutex_t lock;
    uint64_t version;      /* how often something was forgotten */
    struct absent *absent; /* in the order of arrival */
    struct filling *fillings;
    struct entity *entities; /* in the order of arrival */
    struct own *owns;        /* likewise */
};

struct memo *memo_new(void)
{
    struct memo *m = calloc(1, sizeof *m);
    if (m)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

void memo_free(struct memo *m)
{
    if (!m)
        return;
    struct absent *one = m->absent, *next;
    HASH_CLEAR(hh, m->absent);
    for (; one; one = next) {
        next = one->hh.next;
        free(one);
    }
    struct entity *entity = m->entities, *then;
    HASH_CLEAR(hh, m->entities);
    for (; entity; entity = then) {
        then = entity->hh.next;
        free(entity);
    }
    struct own *own = m->owns, *behind;
    HASH_CLEAR(hh, m->owns);
    for (; own; own = behind) {
        behind = own->hh.next;
        free(own);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

uint64_t memo_version(struct memo *m)
{
    pthread_mutex_lock(&m->lock);
    uint64_t version = m->version;
    pthread_mutex_unlock(&m->lock);
    return version;
}

/* For these, the lock is held. */
static void drop_absent(struct memo *m, struct absent *one)
{
    HASH_DEL(m->absent, one); /* NOLINT(clang-analyzer-unix.Malloc): in a loop it takes the table's head for freed */
    free(one);
}

/* Its file is being written all the same. */
static void drop_filling(struct memo *m, struct filling *one)
{
    HASH_DEL(m->fillings, one);
    one->forgotten = 1;
}

void memo_add_useless(struct memo *m, const struct image_key *key, int code, uint64_t version)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct absent *one = calloc(1, sizeof *one + len), *there;
    if (!one)
        return;
    one->until_ms = clock_monotonic_ms() + ABSENT_MS;
    one->code = code;
    one->name_len = len;
    memcpy(one->name, name, len);
    pthread_mutex_lock(&m->lock);
    if (m->version != version) {
        pthread_mutex_unlock(&m->lock);
        free(one);
        return;
    }
    HASH_REPLACE(hh, m->absent, name[0], one->name_len, one, there);
    free(there);
    if (HASH_COUNT(m->absent) > ABSENT_MAX)
        drop_absent(m, m->absent);
    pthread_mutex_unlock(&m->lock);
}

void memo_add_absent(struct memo *m, const struct image_key *key, uint64_t version)
{
    memo_add_useless(m, key, -ENOENT, version);
}

int memo_is_useless(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct absent *one;
    pthread_mutex_lock(&m->lock);
    HASH_FIND(hh, m->absent, name, len, one);
    if (one && one->until_ms < clock_monotonic_ms()) {
        drop_absent(m, one);
        one = NULL;
    }
    int code = one ? one->code : 0;
    pthread_mutex_unlock(&m->lock);
    return code;
}

int memo_is_absent(struct memo *m, const struct image_key *key)
{
    return memo_is_useless(m, key) == -ENOENT;
}

struct filling *memo_add_filling(struct memo *m, struct image *image, uint64_t version)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&image->meta.key, name);
    struct filling *one = calloc(1, sizeof *one + len), *there;
    if (!one)
        return NULL;
    one->memo = m;
    one->image = image_ref(image);
    one->name_len = len;
    memcpy(one->name, name, len);
    pthread_mutex_lock(&m->lock);
    one->forgotten = m->version != version;
    if (!one->forgotten) {
        HASH_REPLACE(hh, m->fillings, name[0], one->name_len, one, there);
        if (there)
            there->forgotten = 1;
    }
    pthread_mutex_unlock(&m->lock);
    return one;
}

void memo_filled(struct filling *filling)
{
    pthread_mutex_lock(&filling->memo->lock);
    if (!filling->forgotten)
        HASH_DEL(filling->memo->fillings, filling);
    pthread_mutex_unlock(&filling->memo->lock);
    image_unref(filling->image);
    free(filling);
}

struct image *memo_find_filling(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct filling *one;
    pthread_mutex_lock(&m->lock);
    HASH_FIND(hh, m->fillings, name, len, one);
    struct image *image = one ? image_ref(one->image) : NULL;
    pthread_mutex_unlock(&m->lock);
    return image;
}

/* Type NUL object NUL variant NUL. 0: it is too long to be remembered. */
static unsigned entity_name(const struct memo_entity *entity, char ret[ENTITY_NAME_SIZE])
{
    const char *parts[] = {entity->content_type, entity->object_id, entity->variant};
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(parts[i]) + 1;
        if (n + len > ENTITY_NAME_SIZE)
            return 0;
        memcpy(ret + n, parts[i], len);
        n += len;
    }
    return (unsigned)n;
}

static void drop_entity(struct memo *m, struct entity *one)
{
    HASH_DEL(m->entities, one);
    free(one);
}

void memo_add_entity(struct memo *m, const struct memo_entity *entity, const struct image_key *key, uint64_t version)
{
    char name[ENTITY_NAME_SIZE], image[IMAGE_NAME_SIZE];
    unsigned len = entity_name(entity, name), image_len = image_key_name(key, image);
    struct entity *one = len ? calloc(1, sizeof *one + len + image_len) : NULL, *there;
    if (!one)
        return;
    one->until_ms = clock_monotonic_ms() + ENTITY_MS;
    one->version = version;
    one->name_len = len;
    one->image_len = image_len;
    memcpy(one->name, name, len);
    memcpy(one->name + len, image, image_len);
    pthread_mutex_lock(&m->lock);
    HASH_REPLACE(hh, m->entities, name[0], one->name_len, one, there);
    free(there);
    if (HASH_COUNT(m->entities) > ENTITY_MAX)
        drop_entity(m, m->entities);
    pthread_mutex_unlock(&m->lock);
}

int memo_find_entity(struct memo *m, const struct memo_entity *entity, char ret_name[IMAGE_NAME_SIZE])
{
    char name[ENTITY_NAME_SIZE];
    unsigned len = entity_name(entity, name);
    struct entity *one;
    pthread_mutex_lock(&m->lock);
    HASH_FIND(hh, m->entities, name, len, one);
    if (one && (one->version != m->version || one->until_ms < clock_monotonic_ms())) {
        drop_entity(m, one);
        one = NULL;
    }
    if (one)
        memcpy(ret_name, one->name + one->name_len, one->image_len);
    pthread_mutex_unlock(&m->lock);
    return one ? 0 : -ENOENT;
}

static void drop_own(struct memo *m, struct own *one)
{
    HASH_DEL(m->owns, one);
    free(one);
}

void memo_add_own(struct memo *m, const struct image_meta *row, enum memo_own own)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&row->key, name);
    struct own *one = calloc(1, sizeof *one + len), *there;
    if (!one)
        return;
    one->until_ms = clock_monotonic_ms() + OWN_MS;
    memcpy(one->sha256, row->sha256, sizeof one->sha256);
    one->own = own;
    one->name_len = len;
    memcpy(one->name, name, len);
    pthread_mutex_lock(&m->lock);
    HASH_REPLACE(hh, m->owns, name[0], one->name_len, one, there);
    free(there);
    if (HASH_COUNT(m->owns) > OWN_MAX)
        drop_own(m, m->owns);
    pthread_mutex_unlock(&m->lock);
}

enum memo_own memo_is_own(struct memo *m, const struct image_meta *row)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(&row->key, name);
    struct own *one;
    pthread_mutex_lock(&m->lock);
    HASH_FIND(hh, m->owns, name, len, one);
    int is_own = one && one->until_ms >= clock_monotonic_ms() && !row->deleted_us &&
                 memcmp(one->sha256, row->sha256, sizeof one->sha256) == 0;
    enum memo_own own = is_own ? one->own : MEMO_NOT_OWN;
    pthread_mutex_unlock(&m->lock);
    return own;
}

void memo_drop_own(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct own *one;
    pthread_mutex_lock(&m->lock);
    HASH_FIND(hh, m->owns, name, len, one);
    if (one)
        drop_own(m, one);
    pthread_mutex_unlock(&m->lock);
}

int memo_forget(struct memo *m, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct absent *one;
    struct filling *filling;
    pthread_mutex_lock(&m->lock);
    m->version++;
    HASH_FIND(hh, m->absent, name, len, one);
    if (one)
        drop_absent(m, one);
    HASH_FIND(hh, m->fillings, name, len, filling);
    if (filling)
        drop_filling(m, filling);
    pthread_mutex_unlock(&m->lock);
    return (one != NULL) + (filling != NULL);
}

int memo_is_meant(const struct image_key *key, const char *pattern)
{
    static const char by_path[] = "image:path:";
    char shown[sizeof by_path + IMAGE_NAME_SIZE];
    if (strncmp(pattern, by_path, sizeof by_path - 1) != 0)
        return 1;
    (void)snprintf(shown, sizeof shown, "%s%s:%s", by_path, key->collection, key->path);
    return fnmatch(pattern, shown, 0) == 0;
}

static int is_meant(const char *name, const char *pattern)
{
    struct image_key key = image_key_named(name);
    return memo_is_meant(&key, pattern);
}

int memo_forget_matching(struct memo *m, const char *pattern)
{
    struct absent *one, *next;
    struct filling *filling, *then;
    int n = 0;
    pthread_mutex_lock(&m->lock);
    m->version++;
    HASH_ITER (hh, m->absent, one, next) {
        if (is_meant(one->name, pattern)) {
            drop_absent(m, one);
            n++;
        }
    }
    HASH_ITER (hh, m->fillings, filling, then) {
        if (is_meant(filling->name, pattern)) {
            drop_filling(m, filling);
            n++;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return n;
}
