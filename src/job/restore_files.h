/* The writing side of a restore: collects temporaries and gives them their names in groups, one sync a group. */
#ifndef JOB_RESTORE_FILES_H
#define JOB_RESTORE_FILES_H

#include <sys/stat.h>

#include "job/fetch.h"

/* What is on disk where an image shall go. */
struct restore_target {
    int replace;      /* 0: nothing */
    struct stat seen; /* else this file */
    uint64_t mark;    /* tier_disk_mark, before its row was read */
};

/* For fetch_start; the tags are restore_targets made by malloc, which are freed. */
extern const struct fetch_ops restore_files_ops;

#endif
