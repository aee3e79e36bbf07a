/* Folders that the settings name. */
#ifndef FS_MAKE_FOLDER_H
#define FS_MAKE_FOLDER_H

#include "base/error.h"

/* Makes the folder and those above it (mode 0777 less umask), where they are missing. -ENOMEM, or what mkdir(2) says of
 * one that can't be made, with a sentence that names it. */
int make_folder(const char *path, struct error *e) __attribute__((warn_unused_result));

#endif
