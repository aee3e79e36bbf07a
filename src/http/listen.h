/* The listening socket. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "base/error.h"

/* Listens on an address or host name ("127.0.0.1", "::", "localhost") and port, 0 for any free one. Sets *ret_fd and
 * the port. -EADDRINUSE, -EACCES, -EINVAL with a text that names the setting. */
int http_listen(const char *address, int port, int *ret_fd, int *ret_port, struct error *e)
    __attribute__((warn_unused_result));

#endif
