/* Temporary uploads: committed to PostgreSQL before whoever sent them is answered, and kept there until their
 * collection's bucket holds them.
 *
 *     pending --> completed      failed: tried, and something has to be put right; it is tried again all the same
 *        \-> failed --^
 *
 * Whoever moves one claims it first, for UPLOADS_LEASE_S that have to be renewed: no transaction is open meanwhile, so
 * that this works behind a pooler, and what somebody dead had claimed is free again a moment later. */
#ifndef RECORDS_UPLOADS_H
#define RECORDS_UPLOADS_H

#include <stddef.h>
#include <stdint.h>

#include "fs/spool.h"
#include "store/store.h"

#define UPLOADS_NAME_SIZE   64
#define UPLOADS_KEY_SIZE    128
#define UPLOADS_LEASE_S     30
#define UPLOADS_KEPT_DAYS   30 /* of those that are completed */
#define UPLOADS_PART_BYTES  (3 << 20)
#define UPLOADS_COLLECTIONS 64

struct upload {
    int64_t id;
    char name[UPLOADS_NAME_SIZE]; /* temp_<32 hexadecimal digits>_<seconds since 1970>.<ending> */
    char collection[IMAGE_COLLECTION_MAX + 1];
    char mime[64];
    char key[UPLOADS_KEY_SIZE]; /* its path in the collection: temp_uploads/YYYY/MM/DD/<name>, of the day in UTC */
    int64_t size;
    unsigned char sha256[DIGEST_SHA256_LEN];
    int64_t parts; /* 0: the bytes are in the row */
    int64_t attempts;
    int64_t created_us;
};

/* Commits what `bytes` holds. -EMEDIUMTYPE: it is no image that Perdura keeps; or as db_query. */
int uploads_put(struct store *store, const char *collection, const struct spool *bytes, struct upload *ret,
                struct error *e) __attribute__((warn_unused_result));

struct upload_status {
    char collection[IMAGE_COLLECTION_MAX + 1];
    char state[16]; /* "pending", "completed", "failed" */
    char why[512];  /* the last attempt did not succeed; "": there was none, or it did */
    char key[UPLOADS_KEY_SIZE];
    int64_t attempts, created_us, completed_us; /* 0: not completed */
};

/* -ENOENT: there is none of that name, or it was completed more than UPLOADS_KEPT_DAYS ago. */
int uploads_status(struct store *store, const char *name, struct upload_status *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Those that are not in their buckets. */
struct uploads_count {
    int64_t pending, failed, bytes, oldest_s; /* the age of the oldest one; 0: none */
    char why[512];                            /* of the last attempt that did not succeed */
};

struct uploads_counts {
    struct uploads_count all;
    int len;
    struct uploads_collection {
        char name[IMAGE_COLLECTION_MAX + 1];
        struct uploads_count count;
    } collections[UPLOADS_COLLECTIONS];
};

int uploads_counts(struct store *store, struct uploads_counts *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Those of one collection; all zero when it has none. */
struct uploads_count uploads_count_of(const struct uploads_counts *counts, const char *collection);

/* For job/sync. */

/* Who claims, and what. */
struct uploads_claimant {
    struct store *store;
    const char *name;                             /* of this round and no other */
    const char *collections[UPLOADS_COLLECTIONS]; /* that are moved */
    int collections_len;
    int even_if_not_due;
};

/* Now, by the server's clock, for uploads_claim. */
int uploads_now(struct store *store, int64_t *ret_us, struct error *e) __attribute__((warn_unused_result));

/* Claims the next one that nobody has tried since `since_us`. -ENOENT: there is none. */
int uploads_claim(const struct uploads_claimant *c, int64_t since_us, struct upload *ret, struct error *e)
    __attribute__((warn_unused_result));

/* How many of these collections others have claimed. */
int uploads_claimed_by_others(const struct uploads_claimant *c, int64_t *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Keeps, or gives back, whatever this claimant holds. */
int uploads_renew(const struct uploads_claimant *c, struct error *e) __attribute__((warn_unused_result));
int uploads_release(const struct uploads_claimant *c, struct error *e) __attribute__((warn_unused_result));

/* Reads the bytes: all of them (part 0 of an upload without parts), or a part of UPLOADS_PART_BYTES, the last one
 * shorter. -EBADMSG: they are damaged; -ENOENT: the upload is completed. `into` is emptied first. */
int uploads_read(struct store *store, const struct upload *u, int64_t part, struct buf *into, struct error *e)
    __attribute__((warn_unused_result));

/* Marks a claimed one as completed, and drops its bytes in the same statement. */
int uploads_done(const struct uploads_claimant *c, const struct upload *u, struct error *e)
    __attribute__((warn_unused_result));

/* It could not be moved, and is due again in again_s. */
enum uploads_state { UPLOADS_PENDING, UPLOADS_FAILED };
int uploads_undone(const struct uploads_claimant *c, const struct upload *u, enum uploads_state state, const char *why,
                   int64_t again_s, struct error *e) __attribute__((warn_unused_result));

/* Forgets what was completed UPLOADS_KEPT_DAYS ago, and what broken uploads have left. */
int uploads_purge(struct store *store, int64_t *ret, struct error *e) __attribute__((warn_unused_result));

#endif
