/* Uses of files by the app itself, which reads them without asking us: the access times of the files are written to
 * last_accessed of their rows (sql/use_note.sql). A restored file begins with its row's last_accessed as access time
 * (ingest_copy_atime_ns), and files are read here without changing it (fs/readfile.c); only a file that belongs to
 * another user is not, and counts as used when Perdura has read it. */
#ifndef JOB_USE_H
#define JOB_USE_H

#include <stdatomic.h>

#include "store/store.h"

struct use_options {
    int64_t since_us;          /* files last accessed a day or more before this were noted before; 0: all */
    int64_t deadline_ms;       /* clock_monotonic_ms; INT64_MAX: none */
    const atomic_int *stopped; /* ends it with -ECANCELED; NULL: nothing does */
    void (*progress)(void *arg);
    void *arg; /* progress is called after each batch; may be NULL */
};

struct use_noted {
    int64_t files, used, returned; /* looked at; rows of these that were used; out of the trash for that */
};

/* Notes the uses of all collections of this host. A folder that is missing has no files. -ENOTSUP, with a text: access
 * times tell nothing here, and nothing is noted; or what kept it from its end. */
int use_note(struct store *store, const struct use_options *options, struct use_noted *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
