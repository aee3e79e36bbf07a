/* TLS over a socket that does not block, as a client. Who the server is gets checked one way of three: by certificate
 * authorities and its name (or address), by the SHA-256 of its certificate, or not at all. */
#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tls_options {
    const char *ca_file;     /* PEM; NULL: the system's authorities */
    const char *fingerprint; /* 64 lower-case digits; NULL: the certificate counts by its issuer */
    int insecure;            /* any certificate will do */
};

/* Shared by connections. -EINVAL with a text that names the file. */
struct tls_context;

int tls_context_new(struct tls_context **ret, const struct tls_options *options, struct error *e)
    __attribute__((warn_unused_result));
void tls_context_free(struct tls_context *c); /* NULL is allowed */

struct tls;

/* Shakes hands over a connected, non-blocking socket, which stays the caller's. -ETIMEDOUT at deadline_ms
 * (clock_monotonic_ms); -EPROTO, also for a certificate that is not to be trusted. */
int tls_open(struct tls **ret, struct tls_context *context, int fd, const char *host, int64_t deadline_ms,
             struct error *e) __attribute__((warn_unused_result));
void tls_close(struct tls *t); /* without waiting for the other side; NULL is allowed */

/* Read or write some bytes: how many, 0 at the end (of reading), -EAGAIN when *ret_events (POLLIN or POLLOUT) has to be
 * waited for, -ECONNRESET. */
long tls_read(struct tls *t, void *bytes, size_t n, short *ret_events) __attribute__((warn_unused_result));
long tls_write(struct tls *t, const void *bytes, size_t n, short *ret_events) __attribute__((warn_unused_result));

#endif
