/* What the files of job/sync share. */
#ifndef JOB_SYNC_INTERNAL_H
#define JOB_SYNC_INTERNAL_H

#include "client/s3.h"
#include "job/sync.h"

/* One upload on its way. `buf` keeps its memory from one to the next. */
struct sync_move {
    struct store *store;
    struct s3 *s3;
    const atomic_int *cancel;
    const struct upload *upload;
    const struct image_origin *origin;
    struct buf buf;       /* the bytes, or that part of them: */
    int64_t part;         /* -1: none yet */
    struct error reading; /* what went wrong with our own bytes, not with the storage */
};

void sync_move_init(struct sync_move *m, struct store *store, struct s3 *s3, const atomic_int *cancel);
void sync_move_release(struct sync_move *m);

/* Sees to it that the bucket has the upload. 0; 1: it had it already; what s3_put says; or, when m->reading is set, why
 * the upload can't be read: -ENOENT, somebody else has completed it. */
int sync_move(struct sync_move *m, const struct upload *u, const struct image_origin *origin, struct error *e)
    __attribute__((warn_unused_result));

#endif
