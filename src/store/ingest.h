/* The write protocol: the one way in which a content becomes an image's row, and in which a copy of a row becomes a
 * file.
 *
 * Writing a row. `struct ingest` is one write. Its kind says which side leads:
 *
 *     INGEST_FILE     the app wrote the file, and the row follows: no copy may take the file's place meanwhile
 *     INGEST_CONTENT  the content comes from elsewhere, or the image is deleted: the row changes first and the file
 *                     follows, so that who has read the file that is there must not store it
 *
 * The row is replaced only if it is still the base, the one that the writer has seen; else the outcome is -ESTALE and
 * nothing is written. A content is acknowledged once its commit is confirmed, never before.
 *
 *     phase    entered by          legal calls
 *     IDLE     {0}, ingest_end     ingest_begin
 *     OPEN     ingest_begin        ingest_is_current, _upload, _end; of INGEST_FILE _put, _touch; of INGEST_CONTENT
 *                                  _commit, _copy_up, _trash, _file_changed
 *     QUEUED   ingest_put, _touch  none: the writer's `done` hands it back, as DONE
 *     DONE     the outcome         ingest_end
 *
 * Copying a row into a file. A copy must not bring back what is deleted or replaced while it is made: take a mark
 * before the row is read (ingest_mark), and publish the file with the gate and this mark (struct atomicfile). It gets
 * no name (-ECANCELED) when its image was written since, or is being written. */
#ifndef STORE_INGEST_H
#define STORE_INGEST_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "fs/atomicfile.h"
#include "store/store.h"

/* What a writer has seen of the row. Opaque: made by ingest_base and compared by the database. */
struct ingest_base {
    int64_t id;         /* 0: there was no row */
    int64_t updated_us; /* 0: likewise */
};

struct ingest_base ingest_base(const struct image_meta *row); /* NULL: there is none */

enum ingest_kind { INGEST_FILE, INGEST_CONTENT };
enum ingest_phase { INGEST_IDLE, INGEST_OPEN, INGEST_QUEUED, INGEST_DONE };

struct ingest {
    enum ingest_phase phase;
    enum ingest_kind kind;
    struct store *store;
    struct image_key key; /* borrowed until the end */
    struct ingest_base base;
    int64_t size; /* of what was put or touched */
    unsigned char sha256[DIGEST_SHA256_LEN];
};

/* base NULL: whatever the row is. Other writes of the same image may be under way, in any thread. */
void ingest_begin(struct ingest *g, struct store *store, enum ingest_kind kind, const struct image_key *key,
                  const struct ingest_base *base);
void ingest_end(struct ingest *g);

/* Whether anybody writes this image; it may seem so for another's sake. */
int ingest_is_under_way(struct store *store, const struct image_key *key);

/* Once the file that meta describes was read: whether it is still the file that is to be stored. 0: its image was or is
 * being written or deleted by other means, or the file has changed; look at both again. */
int ingest_is_current(const struct ingest *g, const struct image_meta *meta);

/* A content that is too large for its row goes to object storage before it is committed: the first meta->size bytes of
 * `fd`; meta->url becomes `url`. `since` is the file's state from before it was described. As store_upload. */
int ingest_upload(const struct ingest *g, struct image_meta *meta, int fd, const struct stat *since,
                  char url[IMAGE_URL_SIZE], const atomic_int *cancel, struct error *e)
    __attribute__((warn_unused_result));

/* Content from elsewhere: commits the image, then copies it to the tiers above. What is committed is stored, even if
 * its file can't be written now: that is in *ret_disk (code 0: it is there). */
int ingest_commit(struct ingest *g, const struct image *image, struct error *ret_disk, struct error *e)
    __attribute__((warn_unused_result));

/* Only the second half, for a content that the row holds already. */
void ingest_copy_up(struct ingest *g, const struct image *image, struct error *ret_disk);

/* Moves the row to the trash. -ENOENT: there is none, or it is in there. */
int ingest_trash(struct ingest *g, struct error *e) __attribute__((warn_unused_result));

/* Its file was removed or replaced by the caller: no copy that was begun before gets its name. */
void ingest_file_changed(struct ingest *g);

/* Writer: one connection, commits in batches. The outcome of each write is reported once by `done`, from within put,
 * touch, flush or close; code 0: it is committed. A lost connection is opened again and its batch sent again (storing
 * twice is storing once). A batch that fails for a reason that may be one image's is sent image by image. */
struct ingest_writer;
typedef void ingest_done_fn(void *arg, struct ingest *g, const struct error *outcome);

struct ingest_patience {
    int connection_ms; /* for a lost connection */
    int lock_ms;       /* for locks of other transactions on what is written */
    int statement_ms;  /* for a statement as a whole */
    int split_ms;      /* likewise, for all images of a batch that is sent image by image; 0: hardly any */
};

#define INGEST_BATCH_IMAGES 64

int ingest_writer_open(struct store *store, const struct ingest_patience *patience, ingest_done_fn *done, void *arg,
                       struct ingest_writer **ret, struct error *e) __attribute__((warn_unused_result));

/* Stores a content over the base: `bytes`, or what is at meta->url (bytes NULL). They are encoded before the return. A
 * path must not come twice before the close. */
void ingest_put(struct ingest_writer *w, struct ingest *g, const struct image_meta *meta, const void *bytes);

/* The content is the base's: gives the row the time of meta and takes it out of the trash. */
void ingest_touch(struct ingest_writer *w, struct ingest *g, const struct image_meta *meta);

void ingest_writer_close(struct ingest_writer *w); /* flushes, gives the connection back, frees; NULL is allowed */

/* Copies */
uint64_t ingest_mark(struct store *store);
const struct atomicfile_gate *ingest_copy_gate(struct store *store, const char *collection);

/* The last access that a copy's file is given, as in struct atomicfile: that of its row, so that a later one is known
 * to be a use by the app. It lies in the past of the disk's clock: Linux notes an access only where the one before it
 * is not later than the last change of the file (relatime, mount(8)). */
int64_t ingest_copy_atime_ns(const struct image_meta *meta);

#endif
