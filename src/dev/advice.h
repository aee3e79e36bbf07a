/* What to try once the story is told, as lines to copy into another terminal. */
#ifndef DEV_ADVICE_H
#define DEV_ADVICE_H

#include "dev/private_postgres.h"
#include "dev/private_redis.h"

struct dev_advice {
    const struct private_postgres *pg;
    const struct private_redis *redis; /* NULL: none */
    const char *media;                 /* the media folder's absolute path */
    const char *url;                   /* where the HTTP service listens */
    const char *images;                /* where images are served, with the slash at its end */
    const char *token;                 /* for what needs one */
    const char *login;                 /* a link that logs in to the admin page; "": none */
};

/* Prints them on stdout. */
void dev_advice_print(const struct dev_advice *a);

#endif
