/* Who is logged in to the admin page: rows that all instances share. They hold digests and no secret, so that whoever
 * reads the table, or a dump of it, is not logged in. */
#ifndef RECORDS_ADMIN_SESSION_H
#define RECORDS_ADMIN_SESSION_H

#include <stdint.h>

#include "codec/digest.h"
#include "store/store.h"

#define ADMIN_SESSION_LASTS_S  (12 * 60 * 60)
#define ADMIN_SESSION_UNUSED_S (2 * 60 * 60)

/* What a session is known by. `with` is the digest of what goes with the token: a session counts only while that stays
 * the same. */
struct admin_session_key {
    unsigned char token[DIGEST_SHA256_LEN];
    unsigned char with[DIGEST_SHA256_LEN];
};

/* Begins one, and sets when it ends (microseconds since 1970). 0, or what the database said. */
int admin_session_put(struct store *store, const struct admin_session_key *key, int64_t *ret_expires_us,
                      struct error *e) __attribute__((warn_unused_result));

/* One that is in use. -ENOENT: it is none, or has ended; or what the database said. */
int admin_session_get(struct store *store, const struct admin_session_key *key, int64_t *ret_expires_us,
                      struct error *e) __attribute__((warn_unused_result));

/* Ends one, if it is there. */
int admin_session_end(struct store *store, const struct admin_session_key *key, struct error *e)
    __attribute__((warn_unused_result));

#endif
