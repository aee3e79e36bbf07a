/* The app's own folders: each collection is a folder, each image a file in it. */
#ifndef TIER_TIER_DISK_H
#define TIER_TIER_DISK_H

#include <stdatomic.h>

#include "fs/atomicfile.h"
#include "image/image.h"

struct config_collection;
struct stale_files;
struct tier_disk;

/* Knows the collections' folders (the array is borrowed) and opens none of them yet. Files above max_bytes are not read
 * as images, and those above memory_max_bytes not into memory: read gives them as open files. NULL when out of memory.
 */
struct tier_disk *tier_disk_new(const struct config_collection *collections, size_t count, int64_t memory_max_bytes,
                                int64_t max_bytes);

/* Removes this process' temporaries and closes the folders. NULL is allowed. */
void tier_disk_free(struct tier_disk *disk);

/* As read, but the image is an open file (image_new_file), to be sent from there, and *ret_state (NULL is allowed) says
 * what state it was in when its sha256 was taken. */
struct filestate;
int tier_disk_open(struct tier_disk *disk, const struct image_key *key, struct image **ret, struct filestate *ret_state,
                   struct error *e) __attribute__((warn_unused_result));

/* Bytes of large files that are being read to learn their sha256. */
int64_t tier_disk_hashing(struct tier_disk *disk);

/* As tier_disk_open, without waiting for a disk and without reading: -EAGAIN (or another -errno) for a file that is not
 * known, or whose folders are in no cache. */
int tier_disk_open_known(struct tier_disk *disk, const struct image_key *key, struct image **ret,
                         struct filestate *ret_state) __attribute__((warn_unused_result));

/* Copies an image that was opened in this state to memory. -EBUSY: it is in another state by now; -ENOMEM, -EIO. */
int tier_disk_load(const struct image *file, const struct filestate *state, struct image **ret)
    __attribute__((warn_unused_result));

/* Likewise into `bytes`, which has room for file->meta.size of them. */
int tier_disk_read_into(const struct image *file, const struct filestate *state, unsigned char *bytes)
    __attribute__((warn_unused_result));

/* The state of the file that has this name now. For comparing it with the one that was opened, and for nothing else: it
 * may lie behind a link. -ENOENT: there is none. -ESTALE: it is known to be old (stale_files.h). */
int tier_disk_state(struct tier_disk *disk, const struct image_key *key, struct filestate *ret)
    __attribute__((warn_unused_result));

/* What has this name now; a link is not followed if it is the last component. -ENOENT: nothing, or another -errno. */
int tier_disk_look(struct tier_disk *disk, const struct image_key *key, struct stat *ret)
    __attribute__((warn_unused_result));

/* Whether files can be removed from its folder: 0, -EROFS, -EACCES or another -errno. */
int tier_disk_check_removal(struct tier_disk *disk, const struct image_key *key, struct error *e)
    __attribute__((warn_unused_result));

/* Removes what tier_disk_look saw, and nothing that was written there since. -EEXIST: that is there now; -ENOENT:
 * nothing is; or another -errno. */
int tier_disk_remove(struct tier_disk *disk, const struct image_key *key, const struct stat *seen, struct error *e)
    __attribute__((warn_unused_result));

enum tier_disk_folder {
    TIER_DISK_EXISTING, /* a missing folder is -ENOENT */
    TIER_DISK_MAKE      /* a missing folder is made */
};

/* The descriptor of a collection's folder, borrowed. -ENOENT with a text for a collection without a folder here. */
int tier_disk_root(struct tier_disk *disk, const char *collection, enum tier_disk_folder folder, int *ret_fd,
                   struct error *e) __attribute__((warn_unused_result));

/* 0 when the collection's folder, if it was opened, still has its name; -ESTALE when it was moved, removed or replaced
 * since: what was written to it is not where it is looked for. */
int tier_disk_in_place(struct tier_disk *disk, const char *collection, struct error *e)
    __attribute__((warn_unused_result));

/* For whoever stays while folders come and go: 0 when the folder is the one that is open (it is opened if need be), 1
 * when another one has its name now, which is open from here on under the same descriptor, so that nobody who has
 * borrowed that is disturbed. -ENOENT when there is none, or another -errno: what was open stays so. */
int tier_disk_reopen(struct tier_disk *disk, const char *collection, struct error *e)
    __attribute__((warn_unused_result));

/* Makes all that was put into the folders so far durable, names included. */
void tier_disk_sync(struct tier_disk *disk);

/* Puts new content there, in place of what is there. */
int tier_disk_write(struct tier_disk *disk, const struct image *image, struct error *e)
    __attribute__((warn_unused_result));

/* A copy of what a lower tier holds must not bring back what is deleted or replaced while it is made. Whoever copies
 * takes a mark before he reads, and publishes with the gate and this mark: the file gets no name (-ECANCELED) when its
 * image was changed since, or is under way. */
uint64_t tier_disk_epoch(struct tier_disk *disk);
const struct atomicfile_gate *tier_disk_copies(struct tier_disk *disk, const char *collection);

/* Whether an image was changed since a mark was taken; it may seem so for another's sake. */
int tier_disk_changed_since(struct tier_disk *disk, const struct image_key *key, uint64_t mark);

/* Its row was changed, or its file dropped. */
void tier_disk_changed(struct tier_disk *disk, const struct image_key *key);

/* What is under way with an image, from begin to end; they nest. For both tier_disk_changed is called before the end,
 * if anything was changed. An image may seem to be under way for another's sake. */
enum tier_disk_kind {
    TIER_DISK_TAKING, /* its file is read and then committed: a copy could take that file's place, should it vanish */
    TIER_DISK_REPLACING, /* its row is written or deleted and then its file: the one that is there is older than the
                          * row, and whoever has read it must not store it */
    TIER_DISK_KINDS
};

void tier_disk_begin(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind);
void tier_disk_end(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind);
int tier_disk_is_under_way(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind);

/* Puts copies of up to TIER_DISK_FILL_MAX images on disk, where nothing is there yet; each with its mark. */
#define TIER_DISK_FILL_MAX 256

void tier_disk_fill(struct tier_disk *disk, struct image *const *images, const uint64_t *marks, int count);

/* The last access that a copy's file is given, as in struct atomicfile: that of its row, so that a later one is known
 * to be a use by the app. It lies in the past of the disk's clock: Linux notes an access only where the one before it
 * is not later than the last change of the file (relatime, mount(8)). */
int64_t tier_disk_atime_ns(const struct image_meta *meta);

/* The staging folder of a collection, borrowed. */
int tier_disk_staging(struct tier_disk *disk, const char *collection, struct staging **ret, struct error *e)
    __attribute__((warn_unused_result));

/* Files that hold an old content: reading one of them is -ENOENT. */
struct stale_files *tier_disk_stale_files(struct tier_disk *disk);

/* What tier_disk_open remembers of files. */
struct tier_disk_known;

struct tier_disk_known *tier_disk_known_new(void);
void tier_disk_known_free(struct tier_disk_known *k);
struct tier_disk_known *tier_disk_known(struct tier_disk *disk);
int64_t tier_disk_memory_max_bytes(const struct tier_disk *disk);
int64_t tier_disk_max_bytes(const struct tier_disk *disk);

/* What is behind tier_disk_epoch and tier_disk_copies. */
struct write_epoch;

struct write_epoch *write_epoch_new(atomic_ullong *count); /* one for all collections */
void write_epoch_free(struct write_epoch *g);              /* NULL is allowed */
const struct atomicfile_gate *write_epoch_ops(const struct write_epoch *g);
void write_epoch_changed(struct write_epoch *g, const char *path);
int write_epoch_changed_since(struct write_epoch *g, const char *path, uint64_t mark);
void write_epoch_count(struct write_epoch *g, const char *path, enum tier_disk_kind kind, int by);
int write_epoch_is_under_way(struct write_epoch *g, const char *path, enum tier_disk_kind kind);

#endif
