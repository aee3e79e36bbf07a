/* Who may do what over HTTP: Bearer tokens (RFC 6750 section 2.1), of which PERDURA_API_TOKEN names one or several.
 *
 * Tokens are kept and compared as SHA-256 digests, each with each, in a time that depends neither on how much of a
 * token is right nor on which one it is. Free to be read from every thread. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "base/error.h"

struct config;
struct auth;

/* Takes the tokens and PERDURA_OPEN from the settings and keeps nothing of them. -ENOMEM, -EIO. */
int auth_open(struct auth **ret, const struct config *config, struct error *e) __attribute__((warn_unused_result));
void auth_close(struct auth *auth); /* NULL is allowed */

enum auth_answer {
    AUTH_GRANTED,
    AUTH_NO_TOKEN_SET, /* 503: nobody can be let in until PERDURA_API_TOKEN is set */
    AUTH_MISSING,      /* 401: no Authorization, or of another scheme */
    AUTH_MALFORMED,    /* 400: a Bearer without a token, or with something that is none */
    AUTH_WRONG,        /* 401: a token, but none of ours */
};

/* Whether a request with this Authorization (NULL: not sent) is let in. `open` is the bit of PERDURA_OPEN that lets
 * anyone in, 0 for routes that have none. */
enum auth_answer auth_check(const struct auth *auth, const char *authorization, unsigned open)
    __attribute__((warn_unused_result));

/* What to answer: the status, the detail of the problem, and the value of WWW-Authenticate (RFC 6750 section 3; NULL
 * when the field is not sent). Static. For AUTH_GRANTED: 200, "", NULL. */
struct auth_refusal {
    int status;
    const char *detail;
    const char *challenge;
};

struct auth_refusal auth_refusal(enum auth_answer answer);

#endif
