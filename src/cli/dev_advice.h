/* What to try once the story is told, as lines to copy into another terminal. */
#ifndef CLI_DEV_ADVICE_H
#define CLI_DEV_ADVICE_H

#include "dev/private_postgres.h"

/* Prints them on stdout; `media` is the media folder's absolute path. */
void dev_advice_print(const struct private_postgres *pg, const char *media);

#endif
