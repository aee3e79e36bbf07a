#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "codec/digest.h"

struct tls_context {
    SSL_CTX *ssl;
    BIO_METHOD *socket;
    int pinned;
    unsigned char fingerprint[DIGEST_SHA256_LEN];
};

struct tls {
    SSL *ssl;
};

static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "the connection ended";
}

/* OpenSSL's own socket BIO writes with a call that raises SIGPIPE, which would end the process. This one does what the
 * TLS code asks of a transport: read, write, and whether reading met the end. Its data is the descriptor. */
static int socket_fd(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int socket_write(BIO *bio, const char *bytes, int n)
{
    ssize_t sent = send(socket_fd(bio), bytes, (size_t)n, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (sent <= 0 && BIO_sock_should_retry((int)sent))
        BIO_set_retry_write(bio);
    return (int)sent;
}

static int socket_read(BIO *bio, char *bytes, int n)
{
    ssize_t got = recv(socket_fd(bio), bytes, (size_t)n, 0);
    BIO_clear_retry_flags(bio);
    if (got < 0 && BIO_sock_should_retry((int)got))
        BIO_set_retry_read(bio);
    else if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)got;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *quiet_socket(void)
{
    int type = BIO_get_new_index();
    BIO_METHOD *m = type < 0 ? NULL : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "quiet socket");
    if (!m)
        return NULL;
    BIO_meth_set_write(m, socket_write);
    BIO_meth_set_read(m, socket_read);
    BIO_meth_set_ctrl(m, socket_control);
    return m;
}

static int set_trust(struct tls_context *c, const struct tls_options *options, struct error *e)
{
    if (options->fingerprint) {
        c->pinned = digest_from_hex(c->fingerprint, options->fingerprint, strlen(options->fingerprint)) == 0;
        return c->pinned ? 0 : error_set(e, -EINVAL, "the fingerprint is no SHA-256");
    }
    if (options->insecure)
        return 0;
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    int loaded = options->ca_file ? SSL_CTX_load_verify_locations(c->ssl, options->ca_file, NULL)
                                  : SSL_CTX_set_default_verify_paths(c->ssl);
    if (loaded == 1)
        return 0;
    return error_set(e, -EINVAL, "the certificates in %s can't be read: %s",
                     options->ca_file ? options->ca_file : "the system's folder", reason());
}

int tls_context_new(struct tls_context **ret, const struct tls_options *options, struct error *e)
{
    struct tls_context *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(e, -ENOMEM, "out of memory");
    ERR_clear_error();
    c->ssl = SSL_CTX_new(TLS_client_method());
    c->socket = quiet_socket();
    if (!c->ssl || !c->socket || SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1) {
        tls_context_free(c);
        return error_set(e, -ENOMEM, "OpenSSL can't be set up: %s", reason());
    }
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int r = set_trust(c, options, e);
    if (r < 0)
        tls_context_free(c);
    else
        *ret = c;
    return r;
}

void tls_context_free(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->socket);
    free(c);
}

/* What a call that moved nothing waits for. */
static int wanted(const struct tls *t, int result, short *ret_events)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *ret_events = POLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *ret_events = POLLOUT;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -ECONNRESET;
    }
}

static int shake_hands(const struct tls *t, int fd, int64_t deadline_ms, struct error *e)
{
    for (;;) {
        struct pollfd p = {.fd = fd};
        ERR_clear_error();
        int done = SSL_connect(t->ssl);
        if (done == 1)
            return 0;
        if (wanted(t, done, &p.events) != -EAGAIN) {
            long trust = SSL_get_verify_result(t->ssl);
            return error_set(e, -EPROTO, "TLS: %s%s%s", reason(), trust == X509_V_OK ? "" : ": ",
                             trust == X509_V_OK ? "" : X509_verify_cert_error_string(trust));
        }
        int left_ms = clock_left_ms(deadline_ms);
        if (!left_ms || (poll(&p, 1, left_ms) == 0))
            return error_set(e, -ETIMEDOUT, "TLS: the server takes too long");
    }
}

static int check_pin(const struct tls_context *c, const struct tls *t, struct error *e)
{
    unsigned char seen[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509 *certificate = SSL_get1_peer_certificate(t->ssl);
    int same = certificate && X509_digest(certificate, EVP_sha256(), seen, &len) == 1 && len == sizeof c->fingerprint &&
               memcmp(seen, c->fingerprint, len) == 0;
    X509_free(certificate);
    return same ? 0 : error_set(e, -EPROTO, "TLS: the server's certificate is another one than REDIS_TLS_FINGERPRINT");
}

static int attach(const struct tls_context *c, const struct tls *t, int fd)
{
    BIO *bio = t->ssl ? BIO_new(c->socket) : NULL;
    if (!bio)
        return 0;
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    return 1;
}

/* The name that the certificate has to be for. */
static int set_name(const struct tls *t, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host) == 1;
    return SSL_set_tlsext_host_name(t->ssl, host) == 1 && SSL_set1_host(t->ssl, host) == 1;
}

int tls_open(struct tls **ret, struct tls_context *context, int fd, const char *host, int64_t deadline_ms,
             struct error *e)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(e, -ENOMEM, "out of memory");
    t->ssl = SSL_new(context->ssl);
    int r = attach(context, t, fd) && set_name(t, host)
                ? 0
                : error_set(e, -ENOMEM, "OpenSSL can't be set up: %s", reason());
    if (r == 0)
        r = shake_hands(t, fd, deadline_ms, e);
    if (r == 0 && context->pinned)
        r = check_pin(context, t, e);
    if (r < 0)
        tls_close(t);
    else
        *ret = t;
    return r;
}

void tls_close(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

long tls_read(struct tls *t, void *bytes, size_t n, short *ret_events)
{
    ERR_clear_error();
    int done = SSL_read(t->ssl, bytes, n > INT_MAX ? INT_MAX : (int)n);
    return done > 0 ? done : wanted(t, done, ret_events);
}

long tls_write(struct tls *t, const void *bytes, size_t n, short *ret_events)
{
    ERR_clear_error();
    int done = SSL_write(t->ssl, bytes, n > INT_MAX ? INT_MAX : (int)n);
    if (done > 0)
        return done;
    int r = wanted(t, done, ret_events);
    return r ? r : -ECONNRESET;
}
