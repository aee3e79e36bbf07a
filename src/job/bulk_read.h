/* Takes many images out of the database over several connections at once; each is decoded and compared with its
 * sha256 before it is handed on. */
#ifndef JOB_BULK_READ_H
#define JOB_BULK_READ_H

#include "job/job.h"

struct bulk_read;

struct bulk_read_ops {
    /* Once in each thread; what it returns is passed to the others. NULL (out of memory) ends the job. */
    void *(*enter)(struct job *job);
    /* An image and the tag it was asked for with; or image NULL and why: -EBADMSG (damaged), a code of
     * client/db_fault.h (the server can't read this row), -ENOMEM, -EAGAIN (no more threads), -ENOENT (deleted
     * meanwhile), -ECANCELED (the job was stopped). An image whose bytes are not in its row is a linked one, and told
     * by a thread that holds no connection: it may take its time to fetch them (store_download). meta is the row's (its
     * core, see store/read_many.h), NULL with the last two; both are borrowed. Told once for each tag, possibly in
     * bulk_read_add or bulk_read_finish. */
    void (*image)(void *thread, void *tag, const struct image_meta *meta, struct image *image, const struct error *why);
    void (*leave)(void *thread);
};

/* Starts the threads. */
int bulk_read_start(struct bulk_read **ret, struct job *job, int threads, const struct bulk_read_ops *ops,
                    struct error *e) __attribute__((warn_unused_result));

/* Asks for one image. Waits while enough are under way. */
void bulk_read_add(struct bulk_read *f, const struct image_meta *meta, void *tag);

/* Waits for everything and frees. Whether all went well is in the job. */
void bulk_read_finish(struct bulk_read *f);

#endif
