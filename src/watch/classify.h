/* One file beside its row: is it to be stored? The same answer for cache-all and for the watcher. */
#ifndef WATCH_CLASSIFY_H
#define WATCH_CLASSIFY_H

#include "base/buf.h"
#include "fs/safepath.h"
#include "fs/walk.h"
#include "image/image.h"
#include "store/ingest.h"
#include "store/store.h"
#include "store/store_object.h"

struct classify_row {
    struct ingest_base base; /* id 0: nothing is stored under the path */
    int64_t mtime_ns;
    int in_trash;
    unsigned char sha256[DIGEST_SHA256_LEN];
};

struct classify_file {
    struct image_key key;
    int root;
    enum safepath_links links;
    struct classify_row row;
};

enum classify {
    CLASSIFY_WRITE,      /* new, or changed */
    CLASSIFY_TOUCH,      /* the content is stored; its time is to be written */
    CLASSIFY_UNCHANGED,  /* it is what the row says */
    CLASSIFY_IN_TRASH,   /* likewise, and the row is in the trash: it stays there as long as the file stays as it is */
    CLASSIFY_STORE_WINS, /* differs, but what is stored counts (PERDURA_CONFLICT); the text says so */
    CLASSIFY_NOT_KEPT,   /* no image and not called one */
    CLASSIFY_GONE,
    CLASSIFY_FAIL /* the text says why */
};

/* Reads the file into `bytes` (which is reset; one that is too large for its row is read and not kept), describes it in
 * *meta (whose key is borrowed from the file's), and compares it with its row. With ret_fresh the file is read at once
 * and it tells whether it must be read again once it is not fresh any more (fs/readfile.h); with NULL it is waited for.
 */
enum classify classify(struct store *store, const struct classify_file *file, struct buf *bytes,
                       struct image_meta *meta, int *ret_fresh, struct error *e);

/* For what is to be written, right after: a file that is too large for its row goes to object storage, and meta->url
 * becomes `url`. 0, also when there is nothing to do; -EBUSY: it has changed; else as ingest_upload. */
int classify_upload(const struct ingest *g, const struct classify_file *file, struct image_meta *meta,
                    char url[IMAGE_URL_SIZE], const atomic_int *cancel, struct error *e)
    __attribute__((warn_unused_result));

/* What is to be known of a row; NULL: there is none. */
void classify_row(struct classify_row *ret, const struct image_meta *row);

/* Whether size and modification time say that the file is what the row holds. row may be NULL. */
int classify_unchanged(const struct stat *st, const struct image_meta *row);

/* What a walk came upon: 1 for a file to look at, 0 for nothing of ours, or why it can't be one, with a text. */
int classify_entry(const struct walk_entry *entry, struct error *e);

#endif
