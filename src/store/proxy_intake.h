/* What an origin sends, taken in as it comes: the first bytes in memory, and what is more in a file where the copy is
 * to be; or, where that can't be written, in one without a name elsewhere.
 *
 *     proxy_intake_init -> [ begin, write ]... -> proxy_intake_image -> [ proxy_intake_keep ] -> proxy_intake_release
 *
 * Bytes that can't be an image are refused as soon as that can be told. */
#ifndef STORE_PROXY_INTAKE_H
#define STORE_PROXY_INTAKE_H

#include "base/buf.h"
#include "fs/spool.h"
#include "tier/tier_copies.h"
#include "tier/tier_origin.h"

struct proxy_intake {
    struct tier_copies *copies;
    const struct image_key *key;
    int64_t max_bytes;
    struct buf memory;
    struct digest digest; /* of what is in a file */
    int is_digesting;
    int fd; /* of the copy-to-be; -1: none */
    char name[STAGING_NAME_SIZE];
    struct spool spool; /* in place of that */
    int is_spooled;
    int64_t size;
    struct error why; /* what a function for the taker returned, in words; code 0: nothing */
};

/* All borrowed. Allocates nothing. */
void proxy_intake_init(struct proxy_intake *in, struct tier_copies *copies, const struct image_key *key,
                       int64_t max_bytes);
void proxy_intake_release(struct proxy_intake *in);

/* The functions of a tier_origin_taker whose arg is the intake. */
int proxy_intake_begin(void *arg, int64_t size);
int proxy_intake_write(void *arg, const void *bytes, size_t n);

/* Makes the image of what came: its bytes, or, of more than PROXY_INTAKE_MEMORY of them, an open file. -EINVAL: it is
 * none. -EBADE: whether it is whole can't be told. */
#define PROXY_INTAKE_MEMORY (1 << 20)
int proxy_intake_image(struct proxy_intake *in, const struct tier_origin_answer *answer, int64_t checked_us,
                       struct image **ret, struct error *e) __attribute__((warn_unused_result));

/* Puts that image where the copies are (tier_copies_put). */
int proxy_intake_keep(struct proxy_intake *in, const struct image *image, struct filestate *ret_state, struct error *e)
    __attribute__((warn_unused_result));

#endif
