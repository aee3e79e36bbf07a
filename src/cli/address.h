/* Where the HTTP service listens: PERDURA_BIND and PERDURA_PORT, with regard to the PORT that a platform gives. */
#ifndef CLI_ADDRESS_H
#define CLI_ADDRESS_H

#include "base/error.h"

struct config;

/* For `serve`: with PORT set and PERDURA_BIND not, everyone may connect. */
int address_for_serve(struct config *c, struct error *e) __attribute__((warn_unused_result));

/* For `run`, whose child owns PORT: a port of our own. Sets *ret_chosen to 1 when nobody asked for this address, so
 * that doing without it is better than an app that does not start; else 0. -EINVAL when ours is set to be the child's.
 */
int address_for_run(struct config *c, int *ret_chosen, struct error *e) __attribute__((warn_unused_result));

/* "http://HOST:PORT". Returns dst. */
#define ADDRESS_URL_SIZE 256
const char *address_url(char dst[ADDRESS_URL_SIZE], const struct config *c, int port);

#endif
