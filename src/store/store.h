/* Images by name, whatever tier they are in. The only layer that knows the tiers' order: memory, disk, database.
 *
 * A store is shared by all threads. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "image/image.h"

struct config;
struct store;
struct db_pool;

/* Builds the tiers from the settings (borrowed: they must outlive the store). Connects to nothing yet. -EINVAL when
 * DATABASE_URL is missing or malformed. */
int store_open(struct store **ret, const struct config *config, struct error *e) __attribute__((warn_unused_result));
void store_close(struct store *store); /* NULL is allowed */

struct db_pool *store_pool(struct store *store); /* for migrations, and for statements of other modules */

/* For threads that keep a connection of the pool while they ask for others: as many as leave one may at a time. */
struct semaphore;
struct semaphore *store_semaphore(struct store *store);
const struct config *store_config(const struct store *store);

/* Whether a code means that what holds images, the database or object storage, could not be asked. */
int store_unavailable(int code);

/* Reads an image from the first tier that has it, however long it takes, and fills the tiers above. For a program that
 * does nothing else: store_fetch_start was not called. *ret_tier names the tier; it may be NULL.
 * Images above PERDURA_INLINE_MAX come as open files (image.h).
 * -ENOENT: every tier was asked and none has it. -ENOTCONN, -ETIMEDOUT: not on disk, and the database could not be
 * asked. -EHOSTDOWN: nor could object storage, which has its bytes. -EBADMSG: stored, but damaged. */
int store_read(struct store *store, const struct image_key *key, struct image **ret, const char **ret_tier,
               struct error *e) __attribute__((warn_unused_result));

/* Reading without waiting, for a service. Between start and stop. What waits for the database when stop is called is
 * given up, what is under way lands first: -ETIMEDOUT when that takes longer than until deadline_ms
 * (clock_monotonic_ms); stop may be called again. */
int store_fetch_start(struct store *store, struct error *e) __attribute__((warn_unused_result));
int store_fetch_stop(struct store *store, int64_t deadline_ms) __attribute__((warn_unused_result));

/* Where an image was found: the tier, and for a copy of an origin's, how. */
struct store_hit {
    const char *tier, *status; /* status NULL: it is a stored image */
};

/* Told once, by another thread: the image (one reference, the receiver's) and where it was found, or NULL and why not,
 * as for store_read. Large images come as open files (image.h). */
typedef void store_landed_fn(void *arg, struct image *image, const struct store_hit *found, const struct error *why);

/* The path was checked. -EAGAIN: too many wait already; -ENOMEM. `landed` is not told then. */
int store_fetch(struct store *store, const struct image_key *key, store_landed_fn *landed, void *arg)
    __attribute__((warn_unused_result));

/* For those who must not wait: an image that is at hand, its bytes or its open file, and that is still what the file of
 * this name holds; or the file itself, if it is known. `extra` is what was attached to it (a reference), or NULL.
 * -ENOENT: use store_fetch. */
struct store_hot {
    struct image *image; /* a reference */
    struct image_extra *extra;
    const char *tier;
    int lasts; /* whoever asks next will be told the same */
};

int store_hot(struct store *store, const struct image_key *key, struct store_hot *ret)
    __attribute__((warn_unused_result));
void store_hot_attach(struct store *store, const struct image *image, struct image_extra *extra);

/* From now on so many images are kept at hand, whatever the settings say. */
void store_hot_limit(struct store *store, int max_items);

/* From now on images are put into Redis for so long, whatever CACHE_TTL says. */
void store_redis_ttl(struct store *store, int seconds);

/* Forgets what this instance remembers of images beside their files: that one is stored nowhere, what one is while its
 * file is written. Whoever asks from now on gets no answer that was looked up before, and no copy of what was read
 * before gets on disk. For those, too, who commit an image by other means than store_write and store_delete. By key, or
 * by pattern (fnmatch(3)) of the names that caches use, "image:path:<collection>:<path>" and
 * "image:<type>:<object>:<variant>"; where an entity's images are not known by that name, more than these are
 * forgotten. Returns how many were. */
int store_forget(struct store *store, const struct image_key *key);
int store_forget_matching(struct store *store, const char *pattern);

/* As these two, by what `pattern` names. */
int store_forget_named(struct store *store, const char *pattern);

/* The content of its file was committed as this row, by other means than store_write: as store_forget, and no news when
 * it is heard of as a change. */
void store_committed(struct store *store, const struct image_meta *row);

/* Rows were changed, somewhere: no instance finds them in Redis any more. For whoever calls store_changed for each
 * then. */
void store_forget_shared(struct store *store, const struct image_meta *rows, int count);

/* What this instance alone remembers of the database's answers. */
void store_forget_reads(struct store *store);

/* The pattern that names just this image, by its path. */
#define STORE_PATTERN_SIZE 8200
void store_pattern_of(char ret[STORE_PATTERN_SIZE], const struct image_key *key);
/* The pattern that names the images of an entity; NULL: of any object, any variant. -ENAMETOOLONG. */
int store_pattern_of_entity(char ret[STORE_PATTERN_SIZE], const char *content_type, const char *object_id,
                            const char *variant) __attribute__((warn_unused_result));

/* Makes every instance forget what matches, by way of the database; here, too, a moment later. */
int store_invalidate(struct store *store, const char *pattern, struct error *e) __attribute__((warn_unused_result));

/* Likewise what is remembered of these images; here it stays. */
int store_invalidate_images(struct store *store, const struct image_meta *rows, int count, struct error *e)
    __attribute__((warn_unused_result));

/* A row was changed, somewhere: what is remembered of it is forgotten, and a file that is an old revision is not served
 * any more until it was replaced or removed (image/stale_files.h). Returns whether there are such files; -ENOSPC: there
 * are too many, -EAGAIN: the file can't be looked at now; try again later. */
enum store_change {
    STORE_CHANGE_FILE,  /* its file follows it */
    STORE_CHANGE_CACHES /* the row is gone, or was cleaned up: the file may be the only copy, and stays */
};
int store_changed(struct store *store, const struct image_meta *row, enum store_change change)
    __attribute__((warn_unused_result));

enum store_written { STORE_CREATED, STORE_REPLACED, STORE_UNCHANGED };

/* Commits the bytes under meta's key (and entity, if it names one), then puts the file on disk. meta->mtime_ns is set
 * by the caller; mime, size, sha256 and pixels are filled in. Content that is stored already is not written again.
 * -EINVAL: no image, or a path that can't name one; -EFBIG: too large, or above the inline limit. A disk that
 * cannot be written is no failure: the image is stored, and e (not NULL) tells why its file is not there; its code is 0
 * if it is. */
int store_write(struct store *store, struct image_meta *meta, const void *bytes, enum store_written *ret,
                struct error *e) __attribute__((warn_unused_result));

/* Likewise for the first meta->size bytes of an open file, which nobody else writes to. Above the inline limit they go
 * to object storage before the commit: the codes of store/store_object.h. */
int store_write_file(struct store *store, struct image_meta *meta, int fd, enum store_written *ret, struct error *e)
    __attribute__((warn_unused_result));

/* What store_write would answer to these bytes, without writing anything. Fills meta likewise. */
int store_would_accept(struct store *store, struct image_meta *meta, const void *bytes, enum store_written *ret,
                       struct error *e) __attribute__((warn_unused_result));
int store_would_accept_file(struct store *store, struct image_meta *meta, int fd, enum store_written *ret,
                            struct error *e) __attribute__((warn_unused_result));

enum store_delete {
    STORE_DELETE_SAFE, /* a file that was changed since it was stored stops it (-EBUSY) */
    STORE_DELETE_FORCE
};

/* Puts an image into the trash and removes its file. -ENOENT: it is not stored. */
int store_delete(struct store *store, const struct image_key *key, enum store_delete how, struct error *e)
    __attribute__((warn_unused_result));

/* What store_delete would answer, without deleting anything. */
int store_would_delete(struct store *store, const struct image_key *key, enum store_delete how, struct error *e)
    __attribute__((warn_unused_result));

/* Whether the file on disk is, by size and modification time, the one that meta describes: 1, 0, -ENOENT (no file),
 * or another -errno. */
int store_file_matches(struct store *store, const struct image_meta *meta);

/* Pages of what is stored; the bytes themselves are never touched. */
struct store_page;

int store_page_count(const struct store_page *page);
void store_page_meta(const struct store_page *page, int index, struct image_meta *ret); /* borrows from the page */
void store_page_free(struct store_page *page);                                          /* NULL is allowed */

/* One image, in the trash or not. -ENOENT. */
int store_info(struct store *store, const struct image_key *key, struct store_page **ret, struct error *e)
    __attribute__((warn_unused_result));

/* The live images of an entity, the last one written or assigned first; variant NULL: of all variants. Up to `limit`.
 * -ENOENT: it has none. */
int store_entity(struct store *store, const char *content_type, const char *object_id, const char *variant, int limit,
                 struct store_page **ret, struct error *e) __attribute__((warn_unused_result));

/* The last one of these, of one variant, and only its name: `name` is for the key to point into. The first does not
 * wait: -ENOENT says that it is not at hand. The other asks the database, and Redis while that can't be asked. */
int store_entity_hot(struct store *store, const char *content_type, const char *object_id, const char *variant,
                     char name[IMAGE_NAME_SIZE], struct image_key *ret) __attribute__((warn_unused_result));
int store_entity_key(struct store *store, const char *content_type, const char *object_id, const char *variant,
                     char name[IMAGE_NAME_SIZE], struct image_key *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Makes a live image the one of an entity; what is NULL stays as it is, and what is "" it has no longer. -ENOENT. */
int store_assign(struct store *store, const struct image_key *key, const char *content_type, const char *object_id,
                 const char *variant, struct error *e) __attribute__((warn_unused_result));

/* Up to `limit` images behind `after`, whose meta is that of the last one of the page before (NULL: from the start).
 * lock_ms: as for store_lookup. */
int store_list_by_path(struct store *store, const char *collection, const char *prefix, int lock_ms,
                       const struct image_meta *after, int limit, struct store_page **ret, struct error *e)
    __attribute__((warn_unused_result));
/* Most recently used first; collections is an array ended by NULL. */
int store_list_hottest(struct store *store, const char *const *collections, const struct image_meta *after, int limit,
                       struct store_page **ret, struct error *e) __attribute__((warn_unused_result));
int store_list_trash(struct store *store, const char *collection, const struct image_meta *after, int limit,
                     struct store_page **ret, struct error *e) __attribute__((warn_unused_result));

/* How things stand, from counters: never a scan. */
#define STORE_STATUS_COLLECTIONS 64
#define STORE_STATUS_JOBS        16

/* How the database's tables stand to this program. */
enum store_schema {
    STORE_SCHEMA_CURRENT,
    STORE_SCHEMA_OLDER,  /* migrations are pending */
    STORE_SCHEMA_NEWER,  /* no error: a program runs on the tables of the next version */
    STORE_SCHEMA_FORBIDS /* a newer program's migration lets no program as old as this one write */
};

struct store_status {
    char server_version[64];
    int64_t stored_bytes;    /* on the server's disk: rows, base64, indexes */
    int64_t migration;       /* the newest one applied */
    int64_t migration_known; /* the newest one of this program */
    enum store_schema schema;
    int64_t listeners;    /* instances that hear of changes at once */
    struct error writing; /* why nothing can be written, as far as the database tells; code 0: it can */
    int collections_len;
    struct store_status_collection {
        char name[IMAGE_COLLECTION_MAX + 1];
        int64_t images, bytes;               /* in the trash not included */
        int64_t linked_images, linked_bytes; /* of these, in object storage */
        int64_t trash_images, trash_bytes;
    } collections[STORE_STATUS_COLLECTIONS];
    int jobs_len;
    struct store_status_job {
        char kind[32], state[24], host[64];
        int64_t started_us, finished_us;
        char result[512];      /* JSON */
    } jobs[STORE_STATUS_JOBS]; /* the last one of each kind */
};

int store_status(struct store *store, struct store_status *ret, struct error *e) __attribute__((warn_unused_result));

struct store_redis_status {
    int configured;    /* else nothing below counts */
    int up;            /* it answers, and holds nothing stale */
    const char *state; /* "up", "down"; "full", "refuses writes": it is read, and takes nothing more */
    int connections, connections_in_use;
    int64_t errors;
    int owed; /* images to be dropped before it is read again */
    int ttl_s;
    char server[300]; /* host:port, or a socket's path; "" before the first connection */
    char why[256];    /* its state is not "up" */
};

/* Asks Redis whether it is there, if it is not left alone at present, and waits up to wait_ms. */
void store_redis_status(struct store *store, int wait_ms, struct store_redis_status *ret);

/* Object storage for images above PERDURA_INLINE_MAX. */
struct store_objects_status {
    int configured; /* else nothing below counts */
    int up;         /* it answered the last time */
    char where[256];
    char why[256]; /* it is not up */
};

/* Asks it whether it is there, unless it was asked a moment ago, and waits up to wait_ms. */
void store_objects_status(struct store *store, int wait_ms, struct store_objects_status *ret);

/* Records a job that has ended: state "done", "failed" or "cancelled", the result as a JSON object. */
int store_record_job(struct store *store, const char *kind, const char *state, int64_t started_us, const char *result)
    __attribute__((warn_unused_result));

/* Repairs of what is kept beside the rows (job/recount.h). Counts all rows, corrects the counters while others write,
 * and returns for how many days of a collection they were wrong. */
int store_count_again(struct store *store, int64_t *ret_days, struct error *e) __attribute__((warn_unused_result));

/* 1 when the counters are wrong as far as that can be seen without counting, else 0. */
int store_counters_are_wrong(struct store *store, struct error *e) __attribute__((warn_unused_result));

/* Corrects sequences that are behind their rows; the client warns of each. */
int store_advance_sequences(struct store *store, struct error *e) __attribute__((warn_unused_result));

/* Sets the search path of the functions in the database anew where it lacks the schema that the tables are in, and
 * whether there were any. Nothing where there are no tables, or where another role owns the functions. */
int store_correct_paths(struct store *store, int *ret_corrected, struct error *e) __attribute__((warn_unused_result));

/* A number of images and their bytes. */
struct store_tally {
    int64_t images, bytes;
};

/* Takes an image out of the trash. -ENOENT: it is not in there. */
int store_undelete(struct store *store, const struct image_key *key, struct error *e)
    __attribute__((warn_unused_result));

/* Which of these paths are stored, in the trash or not: ret_rows[i] is the row of paths[i] in the page, or -1. lock_ms:
 * how long a locked table is waited for (DB_LOCKED); 0: as long as for any answer. */
int store_lookup(struct store *store, const char *collection, const char *const *paths, int count, int lock_ms,
                 int *ret_rows, struct store_page **ret, struct error *e) __attribute__((warn_unused_result));

/* Everything stored, in the trash or not, in order of id. */
int store_list_by_id(struct store *store, int64_t after, int limit, struct store_page **ret, struct error *e)
    __attribute__((warn_unused_result));

/* What cleanings have moved into the trash, in order of id. */
int store_list_cleaned(struct store *store, const char *const *collections, int64_t after, int limit,
                       struct store_page **ret, struct error *e) __attribute__((warn_unused_result));

#endif
