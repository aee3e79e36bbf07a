/* Copies of images that come from elsewhere (PERDURA_ORIGINS), on disk, where anybody may look at them:
 *
 *     <PERDURA_CACHE_DIR>/<collection>/<md5 of the path>.<ending>             the bytes as they came
 *     <PERDURA_CACHE_DIR>/<collection>/.perdura/notes/<the same name>        path, ETag ... (copy_meta.h)
 *
 * A file's modification time is the moment when its origin last said that it is still right: confirming a copy writes
 * nothing else, and what removes old files removes what was not confirmed for long. What does not fit there stands in a
 * note, for extended attributes are not everywhere, and a header would make the file no image.
 *
 * What holds, whatever is killed and when:
 *  1. A copy is replaced in two steps: first the note tells of both contents, the old and the new, and then the new
 *     bytes get the name (fs/atomicfile.h). Which one is there is told by their sha256, which is computed when a file
 * is opened for the first time, and each time that it has changed since.
 *  2. Bytes of which the note does not tell are damaged, and are removed. A file without a note was put there by
 *     somebody else, and is taken as it is: its origin is asked without condition when it is too old.
 *  3. A note without a file is nothing. */
#ifndef TIER_TIER_COPIES_H
#define TIER_TIER_COPIES_H

#include "fs/filestate.h"
#include "fs/staging.h"
#include "image/image.h"

struct config;
struct tier_copies;

/* The settings are borrowed; opens nothing yet. NULL when out of memory. */
struct tier_copies *tier_copies_new(const struct config *config);
void tier_copies_free(struct tier_copies *c); /* NULL is allowed */

/* The copy of an image as an open file: its meta has mime, size, sha256, etag, checked_us, and as mtime_ns what its
 * origin says. -ENOENT: there is none. Others: the folder can't be read. */
int tier_copies_open(struct tier_copies *c, const struct image_key *key, struct image **ret,
                     struct filestate *ret_state, struct error *e) __attribute__((warn_unused_result));

/* The state of its file now, whose mtime_ns is when it was checked. -ENOENT, or another -errno. */
int tier_copies_state(struct tier_copies *c, const struct image_key *key, struct filestate *ret)
    __attribute__((warn_unused_result));

/* A file without a name of its own yet, to write a copy to that does not lie in memory: its descriptor, and `name` for
 * tier_copies_put or tier_copies_discard. */
int tier_copies_begin(struct tier_copies *c, const char *collection, char name[STAGING_NAME_SIZE], struct error *e)
    __attribute__((warn_unused_result));
void tier_copies_discard(struct tier_copies *c, const char *collection, const char *name);

/* Keeps an image, checked at its meta.checked_us, in place of what is there: its bytes, or the file of that name, which
 * image->fd is open on. *ret_state is the file's. On failure nothing is left of the file. */
int tier_copies_put(struct tier_copies *c, const struct image *image, const char *name, struct filestate *ret_state,
                    struct error *e) __attribute__((warn_unused_result));

/* The origin says that an image that tier_copies_open gave is still right, at its meta.checked_us. */
int tier_copies_confirm(const struct image *image, struct filestate *ret_state) __attribute__((warn_unused_result));

/* The image is no more. Returns whether there was a copy. */
int tier_copies_drop(struct tier_copies *c, const struct image_key *key);

/* From now on a copy counts as too old, and it stays for as long as its origin can't be asked. Returns whether there is
 * one. */
int tier_copies_expire(struct tier_copies *c, const struct image_key *key);

/* Likewise all of a collection for which `meant` is true; how many. */
int tier_copies_expire_matching(struct tier_copies *c, const char *collection,
                                int (*meant)(const struct image_key *key, const char *pattern), const char *pattern);

/* For cleaning up: removes the note of the file of this name in the folder of a collection, once that is gone; and all
 * notes whose files are gone for a day. */
void tier_copies_drop_note(int folder, const char *name);
void tier_copies_sweep_notes(int folder);

#endif
