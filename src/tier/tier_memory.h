/* The images that are asked for most, at hand: their bytes, or, of large ones, the open file.
 *
 * What stays and what goes is decided by S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for
 * cache eviction", SOSP 2023): what comes for the first time passes through a small queue and is let go at its end
 * unless it was asked for again, so that a scan, or a crawler, pushes out nothing that is in use; a hit moves nothing,
 * so that it costs a counter. */
#ifndef TIER_TIER_MEMORY_H
#define TIER_TIER_MEMORY_H

#include "fs/filestate.h"
#include "image/image.h"

struct tier_memory;

/* Up to so many bytes and so many images, open files included (as far as the limit of descriptors, RLIMIT_NOFILE, has
 * room for them), each for up to ttl_s seconds. max_bytes 0: open files only. NULL when out of memory. */
struct tier_memory *tier_memory_new(int64_t max_bytes, int max_items, int ttl_s);
void tier_memory_free(struct tier_memory *m); /* NULL is allowed */

/* From now on as many images, and for as long. */
void tier_memory_limit(struct tier_memory *m, int max_items, int ttl_s);

/* The largest image whose bytes are kept. */
int64_t tier_memory_image_max(const struct tier_memory *m);

struct memory_hit {
    struct image *image;       /* a reference */
    struct image_extra *extra; /* a reference, or NULL */
    struct filestate state;    /* of the file that it was read from */
    int64_t bytes;             /* that it takes in memory; 0: it is an open file on disk */
};

/* Counts as a use of the image. -ENOENT. */
int tier_memory_find(struct tier_memory *m, const struct image_key *key, struct memory_hit *ret)
    __attribute__((warn_unused_result));
void memory_hit_release(struct memory_hit *hit);

/* Keeps the image, which was read from a file of this state and takes so many bytes of memory (0: it is the open file
 * itself), in place of what is kept under its key. */
void tier_memory_put(struct tier_memory *m, struct image *image, int64_t bytes, const struct filestate *state);

/* Keeps `extra` (a reference of its own) with this very image, unless it is gone or has one. */
void tier_memory_attach(struct tier_memory *m, const struct image *image, struct image_extra *extra);

/* Returns whether it was there. */
int tier_memory_drop(struct tier_memory *m, const struct image_key *key);

/* Drops those images for which `meant` is true; returns how many. It must not call back. */
int tier_memory_drop_matching(struct tier_memory *m, int (*meant)(const struct image_meta *meta, const char *pattern),
                              const char *pattern);

#endif
