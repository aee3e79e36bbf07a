/* Cleaning: moving images into the trash that were not used for a long time, and deleting what has been in the trash
 * for PERDURA_TRASH_DAYS. When the daily cleaning may move images is decided in the database (sql/cleanup_*.sql), by
 * its clock:
 *
 *     store_cleaning_begin -> all instances note uses -> store_uses_unknown -> store_cleaning_check
 *         -> store_cleaning_due -> [ store_cleanup_trash ]...
 *
 * Times are in microseconds since 1970. */
#ifndef STORE_STORE_CLEANUP_H
#define STORE_STORE_CLEANUP_H

#include "store/store.h"

#define STORE_ERROR_SIZE 256

/* cold: live images not accessed for `days`. *ret_limit_us: those accessed before this moment. */
int store_cleanup_cold(struct store *store, int days, int64_t *ret_limit_us, struct store_tally *ret, struct error *e)
    __attribute__((warn_unused_result));

/* old: images in the trash for longer than PERDURA_TRASH_DAYS. Those that version 0.1.0 has put there are not among
 * them: nobody has decided about them. */
int store_cleanup_old(struct store *store, struct store_tally *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Moves up to 1,000 images into the trash that were last accessed before limit_us and are unchanged since unchanged_us;
 * ret->images is 0 when none are left. */
#define STORE_CLEANUP_ANY INT64_C(4102444800000000) /* in the year 2100: however late they were changed */
int store_cleanup_trash(struct store *store, int64_t limit_us, int64_t unchanged_us, struct store_tally *ret,
                        struct error *e) __attribute__((warn_unused_result));
/* Deletes up to 1,000 old images from the trash for good. */
int store_cleanup_purge(struct store *store, struct store_tally *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Begins a daily cleaning at *ret_at_us. */
int store_cleaning_begin(struct store *store, int64_t *ret_at_us, struct error *e) __attribute__((warn_unused_result));

/* How many running instances have not noted uses since at_us. */
int store_uses_waiting(struct store *store, int64_t at_us, int64_t *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Why uses of files are not known: an instance of the last seven days could not note them. 0 and an empty text: they
 * are. *ret_instances: of how many instances. */
enum store_uses {
    STORE_USES_NOW,   /* a running instance that has noted nothing yet is one of those */
    STORE_USES_WAITED /* it is not, store_uses_waiting counts it */
};
int store_uses_unknown(struct store *store, enum store_uses uses, char ret[STORE_ERROR_SIZE], int64_t *ret_instances,
                       struct error *e) __attribute__((warn_unused_result));

/* Records what the cleaning found out; `unknown` is empty when uses are known. Announces what PERDURA_CLEANUP_DAYS
 * makes it trash within eight days. *ret_since_us: since when uses are known without a gap; 0: they are not. */
int store_cleaning_check(struct store *store, int64_t at_us, const char *unknown, int64_t *ret_since_us,
                         struct error *e) __attribute__((warn_unused_result));

/* What may go now, for store_cleanup_trash. -ENOENT: nothing. */
int store_cleaning_due(struct store *store, int64_t at_us, int64_t *ret_limit_us, int64_t *ret_unchanged_us,
                       struct error *e) __attribute__((warn_unused_result));

struct store_cleanup_status {
    int64_t at_us;                        /* of the last daily cleaning; 0: none */
    int64_t use_since_us;                 /* uses are known without a gap since then; 0: they are not */
    char use_error[STORE_ERROR_SIZE];     /* why not */
    int64_t days;                         /* that it went by; 0: off */
    int64_t announced, announced_from_us; /* images that will be trashed, the first of them then at the earliest */
    int64_t cleaned_up;                   /* images in the trash because a cleaning moved them there */
    int64_t undecided;                    /* of these, moved there by version 0.1.0 */
};

int store_cleanup_status(struct store *store, struct store_cleanup_status *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Takes those of these images out of the trash that a cleaning moved there. *ret: how many. */
int store_untrash_cleaned(struct store *store, const int64_t *ids, int count, int64_t *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
