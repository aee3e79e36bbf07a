/* Where the images of a collection come from (PERDURA_ORIGINS): a bucket, or a place on the web. Only read here.
 *
 * Each call waits for the network, so it is for threads of their own. The rules for what may be asked, redirects and
 * addresses included, are client/http_fetch.h's.
 *
 * An origin that could not serve twice in a row, or that asks for it (Retry-After), is left alone: for a second, and
 * each time that it has failed again for twice as long, up to half a minute. Then one who asks tries. */
#ifndef TIER_TIER_ORIGIN_H
#define TIER_TIER_ORIGIN_H

#include "image/image.h"
#include "tier/copy_meta.h"

struct config;
struct tier_origin;

/* An origin is left alone from now on, and why; or it answers again. Told by any thread. */
typedef void tier_origin_changed_fn(void *arg, const char *collection, int up, const char *why);

/* Connects to nothing yet; the settings are borrowed. -EINVAL, -ENOMEM. */
int tier_origin_open(struct tier_origin **ret, const struct config *config, tier_origin_changed_fn *changed, void *arg,
                     struct error *e) __attribute__((warn_unused_result));
void tier_origin_close(struct tier_origin *o); /* NULL is allowed */

/* 1: all that is under way is given up, and so is what is asked for from now on; 0: as usual. */
void tier_origin_cancel(struct tier_origin *o, int cancelled);

/* Whether asking the collection's origin is of any use at present. */
int tier_origin_is_up(struct tier_origin *o, const char *collection);

/* Where content goes. Not 0 from either ends the transfer, which returns it. */
struct tier_origin_taker {
    int (*begin)(void *arg, int64_t size); /* before the first byte; again when all is sent again. -1: not known */
    int (*write)(void *arg, const void *bytes, size_t n);
    void *arg;
};

struct tier_origin_answer {
    int not_modified; /* it is what is known already; the taker got nothing */
    int end_unseen;   /* whether what the taker got is all was not told: the end of the connection ended it */
    char etag[COPY_ETAG_SIZE];
    int64_t modified_s; /* Last-Modified, or else Date, or now */
};

/* Asks for an image; for another one than `known` (its etag and mtime_ns) where that is not NULL, and then with less
 * patience, as there is something to serve. What failed:
 *   -ENOENT       the origin says that there is none
 *   -EHOSTDOWN    the origin is left alone at present
 *   -ENOTCONN, -ETIMEDOUT, -ECONNRESET, -EPROTO     it can't be reached, or could not serve
 *   -ENODATA      its answer broke off before its end
 *   -EBADE        its answer is none to this request, or contradicts itself
 *   -ENODEV       a setting is missing without which it can't be asked
 *   -EACCES, -EPERM, -ENXIO ... it, or a rule, refuses: see the line
 *   -ECANCELED, -ENOMEM, and what the taker returned */
int tier_origin_get(struct tier_origin *o, const struct image_key *key, const struct image_meta *known,
                    const struct tier_origin_taker *taker, struct tier_origin_answer *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Whether a failure tells nothing about the image but that its origin could not be asked. */
int tier_origin_unavailable(int code);

#endif
