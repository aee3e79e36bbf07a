/* The writing side of a restore: collects temporaries and gives them their names in groups, one sync a group. */
#ifndef JOB_RESTORE_FILES_H
#define JOB_RESTORE_FILES_H

#include <sys/stat.h>

#include "base/lock.h"
#include "job/bulk_read.h"

/* Images whose copies got no name because they, or others that look like them to ingest_copy_gate, were being written:
 * to be looked at again. */
struct restore_withheld {
    struct lock lock;
    int count;
    struct restore_key {
        const char *collection;
        char *path; /* owned */
        struct restore_key *next;
    } * keys;
};

/* What is on disk where an image shall go. */
struct restore_target {
    int replace;      /* 0: nothing */
    struct stat seen; /* else this file */
    int64_t atime_ns; /* as in struct atomicfile */
    uint64_t mark;    /* ingest_mark, before its row was read */
    struct restore_withheld *withheld;
};

/* For bulk_read_start; the tags are restore_targets made by malloc, which are freed. */
extern const struct bulk_read_ops restore_files_ops;

#endif
