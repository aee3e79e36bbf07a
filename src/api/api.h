/* What HTTP requests mean: the routes, who may use them, and what they work on.
 *
 *     api_open -> http_server_start(&api_hooks) -> http_server_stop -> api_close */
#ifndef API_API_H
#define API_API_H

#include "base/error.h"
#include "http/server.h"

struct access;
struct adaptive;
struct auth;
struct feed;
struct jobs;
struct login_limit;
struct read_stats;
struct sessions;
struct watch;

/* What the routes work on. The caller sets the first ones, all borrowed; the others are api_open's. */
struct api_service {
    struct store *store;
    struct watch *watch;       /* NULL: nothing is watched */
    struct feed *feed;         /* NULL: changes made elsewhere are not read */
    struct access *access;     /* NULL: requests are not counted */
    struct adaptive *adaptive; /* NULL: limits do not follow the hour */
    struct jobs *jobs;
    struct auth *auth;
    struct sessions *sessions;
    struct login_limit *login_limit; /* the thread's that logs in */
    struct read_stats *read_stats;
};

extern const struct http_hooks api_hooks;

/* 0, or -errno with a text; then nothing is open. */
int api_open(struct api_service *s, struct error *e) __attribute__((warn_unused_result));

/* No request is under way and no job runs. What is not open is passed over. */
void api_close(struct api_service *s);

/* Makes a token that logs in whoever sends it, once, within 15 minutes: behind /admin/#login= of the server's URL.
 * -EIO. */
#define API_LOGIN_LINK_SIZE 44
int api_login_link(const struct api_service *s, char ret[API_LOGIN_LINK_SIZE]) __attribute__((warn_unused_result));

#endif
