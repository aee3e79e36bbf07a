/* Takes many images out of the database over several connections at once; each is decoded and compared with its
 * sha256 before it is handed on. */
#ifndef JOB_FETCH_H
#define JOB_FETCH_H

#include "job/job.h"

struct fetch;

struct fetch_ops {
    /* Once in each thread; what it returns is passed to the others. NULL (out of memory) ends the job. */
    void *(*enter)(struct job *job);
    /* An image and the tag it was asked for with; or image NULL and why: -EBADMSG (damaged), a code of client/db_fault.h
     * (the server can't read this row), -ENOMEM, -EAGAIN (no more threads), -ENOENT (deleted meanwhile), -ECANCELED (the
     * job was stopped). An image whose bytes are not in its row is a linked one, and told by a thread that holds no
     * connection: it may take its time to fetch them (store_download). meta is the row's (its core, see tier_db_core),
     * NULL with the last two; both are borrowed. Told once for each tag, possibly in fetch_add or fetch_finish. */
    void (*image)(void *thread, void *tag, const struct image_meta *meta, struct image *image, const struct error *why);
    void (*leave)(void *thread);
};

/* Starts the threads. */
int fetch_start(struct fetch **ret, struct job *job, int threads, const struct fetch_ops *ops, struct error *e)
    __attribute__((warn_unused_result));

/* Asks for one image. Waits while enough are under way. */
void fetch_add(struct fetch *f, const struct image_meta *meta, void *tag);

/* Waits for everything and frees. Whether all went well is in the job. */
void fetch_finish(struct fetch *f);

#endif
