/* The durable tier: images in PostgreSQL, base64 in the row, or the URL of the object that holds them.
 *
 * Many at once are stored by a writer: one connection, batches, the next batch is made while the server stores the
 * last.
 *
 * "Absent" and "unavailable" are different answers: -ENOENT says that the database was asked and has no such image;
 * every other failure says that it could not tell. */
#ifndef TIER_TIER_DB_H
#define TIER_TIER_DB_H

#include "client/db.h"
#include "image/image.h"

struct tier_db;

/* Borrows the pool. Images above inline_max_bytes are refused with -EFBIG. NULL when out of memory. */
struct tier_db *tier_db_new(struct db_pool *pool, int64_t inline_max_bytes);
void tier_db_free(struct tier_db *db);
struct db_pool *tier_db_pool(struct tier_db *db);
int64_t tier_db_inline_max(const struct tier_db *db);

/* -EFBIG, with a text that names the settings, when an image of this size is not kept in the row. */
int tier_db_accepts(const struct tier_db *db, int64_t size, struct error *e) __attribute__((warn_unused_result));

/* Reads row `row` of a result: all that sql/image_info.sql selects. Strings are borrowed from the result. */
void tier_db_meta(const struct db_result *rows, int row, struct image_meta *ret);
#define TIER_DB_META_COLUMNS 19

/* Likewise, only the columns that every query for images begins with: id, key, type, url, size, sha256, mtime. */
void tier_db_core(const struct db_result *rows, int row, struct image_meta *ret);

/* Makes the image of a row whose query selects image_data behind those: decodes it, and does not compare its sha256
 * (image_verify does). Where the bytes are at meta->url, the image is a linked one (image_new_linked), and so it is
 * with read. -EBADMSG: damaged base64; -ENOMEM. */
int tier_db_image(const struct db_result *rows, int row, struct image **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Reads many images over one connection without waiting for one answer before the next question. Each item begins with
 * its struct image_key and is told once, in order, as it arrives: `image` with one reference, the receiver's, or NULL
 * and why not (as read in tier/tier.h). */
typedef void tier_db_got_fn(void *arg, void *item, struct image *image, const struct error *why);

void tier_db_read(struct tier_db *db, void *const *items, int count, tier_db_got_fn *got, void *arg);

/* Likewise one, when the answer is there. -EBADMSG: it is there, but damaged. */
int tier_db_read_one(struct tier_db *db, const struct image_key *key, struct image **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Commits one image, whatever the row was. */
int tier_db_write(struct tier_db *db, const struct image *image, struct error *e) __attribute__((warn_unused_result));

/* Moves it to the trash. */
int tier_db_trash(struct tier_db *db, const struct image_key *key, struct error *e) __attribute__((warn_unused_result));

/* Writer. Each image's outcome is told once, by `done`, from within add, flush or close: code 0 when it is committed.
 * A lost connection is opened again and its batch sent again (storing twice is storing once); only when that fails for
 * connection_ms are its images told -ENOTCONN. A batch that fails for a reason that may be one image's (a lock, a
 * refusal, a connection that is lost again and again) is sent image by image, so that the others are stored. An image
 * is blamed for lost connections when that happened ten times with it alone, over at least a quarter of connection_ms.
 */
struct tier_db_writer;
typedef void tier_db_done_fn(void *arg, void *tag, const struct error *outcome);

struct tier_db_patience {
    int connection_ms; /* for a lost connection */
    int lock_ms;       /* for locks of other transactions on what is written */
    int statement_ms;  /* for a statement as a whole */
    int split_ms;      /* likewise, for all images of a batch that is sent image by image; 0: hardly any */
};

int tier_db_writer_open(struct tier_db *db, const struct tier_db_patience *patience, tier_db_done_fn *done, void *arg,
                        struct tier_db_writer **ret, struct error *e) __attribute__((warn_unused_result));

/* Takes one image over: meta (described, with key and mtime) and its bytes are encoded before the return; NULL: the
 * bytes are at meta->url, where they were verified. A path must
 * not come twice without a flush between. The image's outcome is told to `done` with `tag`, possibly later.
 *
 * seen_us is the updated_us of the row that it shall replace, 0 for none: when another is there by then, that one stays
 * and the outcome is -ESTALE; so it is, too, for one that was sent twice and stored the first time. */
#define TIER_DB_SEEN_ANY (-1)

void tier_db_writer_add(struct tier_db_writer *w, const struct image_meta *meta, const void *bytes, int64_t seen_us,
                        void *tag);

/* For content that is stored already: gives the row this modification time and takes it out of the trash, unless it was
 * changed since seen_us: then it is left as it is. */
void tier_db_writer_touch(struct tier_db_writer *w, int64_t id, int64_t mtime_ns, int64_t seen_us, void *tag);

/* Sends what waits; returns when every image's outcome was told. */
void tier_db_writer_flush(struct tier_db_writer *w);

/* Flushes, gives the connection back, frees. NULL is allowed. */
void tier_db_writer_close(struct tier_db_writer *w);

#define TIER_DB_BATCH_IMAGES 64
#define TIER_DB_BATCH_BYTES  (2 << 20) /* of image bytes; a larger image is a batch of its own */

#endif
