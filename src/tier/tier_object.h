/* The bytes behind a row's URL: what belongs to the durable tier and is too large for the database.
 *
 *     s3://BUCKET/KEY           object storage that was set up (PERDURA_S3_ENDPOINT), asked with our key; so is what an
 *                               https URL names beneath that endpoint
 *     https://HOST/...          a host of PERDURA_ALLOWED_SOURCES, asked without any key
 *
 * Bytes are streamed both ways, and compared with the row's size and sha256 on their way. Works on the caller's thread;
 * shared by all threads.
 *
 * What failed is told by the code:
 *   -EHOSTDOWN   the storage can't be asked, or refuses us: the line says what to do
 *   -EBADMSG     the object is gone, or is not what the row says
 *   -EREMOTEIO   the storage kept something else than what it was sent (tier_object_put)
 *   -ENOTSUP     nothing is set up that could ask there
 *   -ECANCELED   *cancel was set
 *   -EFBIG       PERDURA_LARGE_BUCKET is not set (tier_object_put)
 *   -ESTALE      the content is not what it was described as any more (tier_object_put)
 *   -ENOMEM      and what a body's or a sink's functions returned */
#ifndef TIER_TIER_OBJECT_H
#define TIER_TIER_OBJECT_H

#include <stdatomic.h>

#include "client/http_fetch.h"
#include "image/image.h"

struct config;
struct tier_object;

/* Connects to nothing yet. The config is borrowed. 0, -ENOMEM, -EINVAL. */
int tier_object_open(struct tier_object **ret, const struct config *config, struct error *e)
    __attribute__((warn_unused_result));
void tier_object_close(struct tier_object *o); /* NULL is allowed */

/* Whether there is a bucket for images above the inline limit. */
int tier_object_takes(const struct tier_object *o);

/* Larger images are taken nowhere. */
#define TIER_OBJECT_MAX_BYTES (1LL << 30)

/* Where content of this sha256 is put. */
const char *tier_object_url(const struct tier_object *o, const unsigned char sha256[DIGEST_SHA256_LEN],
                            char ret[IMAGE_URL_SIZE]);

/* What all these URLs begin with. There must be a bucket. */
const char *tier_object_base(const struct tier_object *o, char ret[IMAGE_URL_SIZE]);

/* How long the transfer of so many bytes may take. */
int64_t tier_object_patience_ms(int64_t bytes);

/* Puts the content (described: size, sha256, mime) to its URL. 0: it is there, and was compared. */
int tier_object_put(struct tier_object *o, const struct image_meta *meta, const struct fetch_body *body,
                    const atomic_int *cancel, struct error *e) __attribute__((warn_unused_result));

/* Somebody waits: a storage that sends nothing for 5 s is given up and not asked again. */
enum tier_object_haste { TIER_OBJECT_PATIENT, TIER_OBJECT_WAITED_FOR };

/* Reads what is at meta->url. 0: all went to the sink, and it was what meta says; else what went there is of no use. */
int tier_object_read(struct tier_object *o, const struct image_meta *meta, const struct fetch_sink *sink,
                     enum tier_object_haste haste, const atomic_int *cancel, struct error *e)
    __attribute__((warn_unused_result));

/* Whether something of this size is at meta->url; only of ours it is asked. 0, or why not. */
int tier_object_look(struct tier_object *o, const struct image_meta *meta, struct error *e)
    __attribute__((warn_unused_result));

/* Removes one of ours; one that is not there counts as removed. */
int tier_object_remove(struct tier_object *o, const char *url, struct error *e) __attribute__((warn_unused_result));

/* Asks the storage whether the bucket can be worked with, unless it was asked a few seconds ago, and waits up to
 * wait_ms. 0: it can, or there is none; -EHOSTDOWN and why not. */
int tier_object_check(struct tier_object *o, int wait_ms, struct error *e) __attribute__((warn_unused_result));

/* Endpoint and bucket, for people; "" when there is none. */
#define TIER_OBJECT_WHERE_SIZE 256
const char *tier_object_where(const struct tier_object *o, char ret[TIER_OBJECT_WHERE_SIZE]);

#endif
