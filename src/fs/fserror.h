/* Failures of the filesystem in words for whoever must mend them.
 *
 * Texts from this folder are written to follow the path they are about, which they do not repeat:
 * "<path> can't be opened: Permission denied; ...". */
#ifndef FS_FSERROR_H
#define FS_FSERROR_H

#include "base/error.h"

/* Writes "<what>: <the errno in words>; <what to do about it>" and the code into *e unless e is NULL. Returns `code`,
 * a negative errno. */
int fserror_set(struct error *e, int code, const char *what);

/* Whether a failure says nothing of the file: the process or the machine has no descriptor, or no memory, to spare. */
int fserror_passes(int code);

#endif
