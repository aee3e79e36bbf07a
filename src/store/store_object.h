/* Images whose bytes are not in their row: how they get into object storage, back out, and away.
 *
 * An object is named by the sha256 of its content, so that it never changes, and two images of the same content share
 * it. It is removed once no row needs it, not even one in the trash, and has not been for STORE_OBJECT_GRACE_S. Nobody
 * can lose one that he is about to name in a row:
 *
 *  1. Who puts an object claims it first (sql/object_claim.sql), puts it, has it compared, and then commits the row.
 *  2. Who removes takes an object in one statement (sql/object_remove.sql) only if its last claim is older than the
 *     grace, it has been noted as unneeded for as long, and no row needs it; then it removes it; then it forgets it.
 *  3. Both statements write the object's row of image_object, so that one of them is first. If it is the claim, the
 *     other finds the claim fresh and leaves the object alone; the claim stays fresh for longer than any transfer may
 *     take (tier_object_patience_ms: 3 hours for the largest), so that the image's row is there before it is old. If it
 * is the removal, the claim is refused until the removal is over, and what is put then is put anew. A removal whose
 *     process died is over after ten minutes; its request to the storage cannot have lasted longer than one.
 *  4. Of an object that is there already nothing is taken for granted: it is put again. So a transfer that began before
 *     a removal and ended behind it has brought the object back before it was compared.
 *
 * Objects that were put but whose row never came are removed likewise. What is not in image_object is never removed,
 * nor what lies in another bucket than the present one. Two databases must not share a bucket and prefix: one does not
 * know what the other needs. */
#ifndef STORE_STORE_OBJECT_H
#define STORE_STORE_OBJECT_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "store/store.h"

#define STORE_OBJECT_GRACE_S 86400

/* Whether there is a bucket for images above the inline limit, and whether it answers: asked, unless it was a moment
 * ago, for up to wait_ms. */
int store_takes_large(const struct store *store);
int store_objects_answer(struct store *store, int wait_ms);

/* How long the transfer of so many bytes may take. */
int64_t store_transfer_ms(int64_t bytes);

/* Whether meta->url is where content of this sha256 is put. */
int store_object_is_ours(const struct store *store, const struct image_meta *meta);

/* -EFBIG, with a text that names the settings, when an image of this size is kept nowhere; else whether it goes to
 * object storage: 1 or 0. */
int store_place(struct store *store, int64_t size, struct error *e) __attribute__((warn_unused_result));

/* The largest image that is kept in its row, and the largest one that is kept. */
int64_t store_inline_max(const struct store *store);
int64_t store_max_bytes(const struct store *store);

/* Puts the first meta->size bytes of an open file, which meta describes, into object storage, as 1. has it; meta->url
 * becomes `url`. `since` is the file's state from before it was described: when it has another size or modification
 * time by the end, -ESTALE. The codes of tier_object.h, those of the database, and -EAGAIN: it is being removed. */
int store_upload(struct store *store, struct image_meta *meta, int fd, const struct stat *since,
                 char url[IMAGE_URL_SIZE], const atomic_int *cancel, struct error *e)
    __attribute__((warn_unused_result));

/* Likewise for bytes in memory. */
int store_upload_bytes(struct store *store, struct image_meta *meta, const void *bytes, char url[IMAGE_URL_SIZE],
                       const atomic_int *cancel, struct error *e) __attribute__((warn_unused_result));

/* Moves an image's content into its row (bytes), or out of it (url, where it was put and compared). -ESTALE: the row is
 * gone, or has other content by now. */
int store_move(struct store *store, const struct image_meta *meta, const void *bytes, const char *url, struct error *e)
    __attribute__((warn_unused_result));

/* The first half of store_write_file, which takes long: describes the file and, if it is to be stored there, uploads
 * it. store_write_file takes meta as it is behind this, and does the other half. */
int store_offer_file(struct store *store, struct image_meta *meta, int fd, char url[IMAGE_URL_SIZE], struct error *e)
    __attribute__((warn_unused_result));

/* -EHOSTDOWN when meta->url leads to our bucket and that did not answer a moment ago: of many images each would wait
 * for it. Another host is not asked: 0. */
int store_reachable(struct store *store, const struct image_meta *meta, struct error *e)
    __attribute__((warn_unused_result));

/* Writes what is at meta->url to a descriptor; -1: only compares it. What was written counts when this returns 0. The
 * codes of tier_object.h, and those of write(2). */
int store_download(struct store *store, const struct image_meta *meta, int fd, const atomic_int *cancel,
                   struct error *e) __attribute__((warn_unused_result));

/* Fetches a linked image: an open file with its bytes, which also gets its name if nothing is there and the image was
 * not changed since the disk's mark. The linked one stays the caller's. For who is waited for: `came` counts the bytes
 * as they come, and a storage that sends none for 5 s is given up; NULL: it is asked again and again. */
int store_fetch_linked(struct store *store, const struct image *linked, uint64_t mark, atomic_llong *came,
                       const atomic_int *cancel, struct image **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Likewise, into a file without a name, wherever temporary files can be. */
int store_fetch_unnamed(struct store *store, const struct image_meta *meta, const atomic_int *cancel,
                        struct image **ret, struct error *e) __attribute__((warn_unused_result));

/* An empty file without a name, for a body on its way to store_write_file: on the disk of the media folder, or where
 * temporary files go. */
int store_spool(struct store *store, int *ret_fd, struct error *e) __attribute__((warn_unused_result));

/* How many objects are due to be removed (0 without a bucket); and removes up to 100 of them: *ret is how many went. */
int store_objects_due(struct store *store, int64_t *ret, struct error *e) __attribute__((warn_unused_result));
int store_objects_remove(struct store *store, int *ret, struct error *e) __attribute__((warn_unused_result));

#endif
