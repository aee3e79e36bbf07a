/* How many wrong passwords are taken: 5 a minute from one client (an IPv6 one is its network of 64 bits), 60 from all
 * of them. Behind a proxy the client is the proxy, and the limit is one for all.
 *
 * For one thread at a time. */
#ifndef API_LOGIN_LIMIT_H
#define API_LOGIN_LIMIT_H

#include <stdint.h>

#define LOGIN_LIMIT_CLIENT   5
#define LOGIN_LIMIT_ALL      60
#define LOGIN_LIMIT_MS       60000
#define LOGIN_LIMIT_KEY_SIZE 8

struct login_limit {
    struct login_failure {
        int64_t at_ms; /* 0: none */
        unsigned char client[LOGIN_LIMIT_KEY_SIZE];
    } failures[LOGIN_LIMIT_ALL]; /* the latest, around and around */
    int next;
};

/* For how many milliseconds this client, an IPv6 address or an IPv4 one as mapped (RFC 4291 section 2.5.5.2), has to
 * wait; 0: it may try. */
int64_t login_limit_wait_ms(const struct login_limit *limit, const unsigned char address[16], int64_t now_ms);

void login_limit_failed(struct login_limit *limit, const unsigned char address[16], int64_t now_ms);

#endif
