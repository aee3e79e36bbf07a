/* What an instance remembers of its reads beside the files: images that are stored nowhere, for a moment, images whose
 * files are being written behind the answer, which image is the one of an entity, and what was written here.
 *
 * What was looked up before a change must not be remembered after it. So who looks something up takes the memo's
 * version first, and what he tells it counts for nothing when something was forgotten since. */
#ifndef STORE_MEMO_H
#define STORE_MEMO_H

#include "image/image.h"

struct memo;

struct memo *memo_new(void);    /* NULL when out of memory */
void memo_free(struct memo *m); /* nothing is being filled; NULL is allowed */

uint64_t memo_version(struct memo *m);

/* No tier has it: so it is said for 5 s. */
void memo_add_absent(struct memo *m, const struct image_key *key, uint64_t version);
int memo_is_absent(struct memo *m, const struct image_key *key);

/* Likewise of what there is no use in asking an origin for again at once, whatever the reason. 0: nothing is known. */
void memo_add_useless(struct memo *m, const struct image_key *key, int code, uint64_t version);
int memo_is_useless(struct memo *m, const struct image_key *key);

/* Its file is being written, which ends with memo_filled. NULL when out of memory. */
struct filling;
struct filling *memo_add_filling(struct memo *m, struct image *image, uint64_t version);
void memo_filled(struct filling *filling);
/* A reference to the image, or NULL. */
struct image *memo_find_filling(struct memo *m, const struct image_key *key);

/* Which image is the one of an entity, for 60 s, and only as long as nothing at all is forgotten: any image that is
 * written may be the entity's next one. */
struct memo_entity {
    const char *content_type, *object_id, *variant;
};

void memo_add_entity(struct memo *m, const struct memo_entity *entity, const struct image_key *key, uint64_t version);
/* Copies the key's name (image_key_name). -ENOENT. */
int memo_find_entity(struct memo *m, const struct memo_entity *entity, char ret_name[IMAGE_NAME_SIZE]);

/* What this instance has committed itself, for 30 s: when that is heard of as a change, it is no news. Until somebody
 * else's change of the image is. */
enum memo_own { MEMO_NOT_OWN, MEMO_OWN, MEMO_OWN_FILE /* it was the file's content that was committed */ };

void memo_add_own(struct memo *m, const struct image_meta *row, enum memo_own own);
enum memo_own memo_is_own(struct memo *m, const struct image_meta *row);
void memo_drop_own(struct memo *m, const struct image_key *key);

/* Whether the row is all that was committed here, its entity too: then nothing that is remembered is older. */
int memo_is_own_row(struct memo *m, const struct image_meta *row);

/* By key, or by pattern (store_forget_matching). Returns how many were remembered. */
int memo_forget(struct memo *m, const struct image_key *key);
int memo_forget_matching(struct memo *m, const char *pattern);

/* Whether a pattern means the image of this key. Which entity an image belongs to is not known here, so that patterns
 * of entities mean all. */
int memo_is_meant(const struct image_key *key, const char *pattern);

/* Likewise of a copy of an origin's image, which has no entity. */
int memo_is_copy_meant(const struct image_key *key, const char *pattern);

#endif
