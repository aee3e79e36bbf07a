#include "api/authorize.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/auth.h"
#include "api/session.h"
#include "codec/digest.h"
#include "config/config.h"
#include "http/router.h"

#define CHALLENGE "Bearer realm=\"perdura\""

/* The bit of PERDURA_OPEN that opens a route to all. */
static unsigned opened_by(enum http_access access)
{
    return access == HTTP_METRICS  ? CONFIG_OPEN_METRICS
           : access == HTTP_STATS  ? CONFIG_OPEN_STATS
           : access == HTTP_UPLOAD ? CONFIG_OPEN_UPLOAD
                                   : 0;
}

/* Sec-Fetch-Site (W3C, Fetch Metadata Request Headers) says it best: the browser knows the URL that it asks, whatever
 * Host has become on the way. */
enum http_origin http_origin(const struct http_transaction *x)
{
    const char *site = http_header(x, "Sec-Fetch-Site");
    const char *origin = http_header(x, "Origin");
    size_t host_len;
    if (site)
        return strcmp(site, "same-origin") == 0 ? HTTP_ORIGIN_OURS : HTTP_ORIGIN_OTHER;
    if (!origin)
        return HTTP_ORIGIN_UNKNOWN;
    const char *authority = strstr(origin, "://");
    const char *host = http_host(x, &host_len);
    int same =
        authority && host && strlen(authority + 3) == host_len && strncasecmp(authority + 3, host, host_len) == 0;
    return same ? HTTP_ORIGIN_OURS : HTTP_ORIGIN_OTHER;
}

static void refuse(struct http_transaction *x, struct auth_refusal refusal)
{
    if (refusal.status == 503)
        http_answer_unset(x, refusal.detail);
    else
        http_answer_problem(x, refusal.status, "%s", refusal.detail);
    if (refusal.challenge)
        http_add_header(x, "WWW-Authenticate", "%s", refusal.challenge);
}

static void refuse_session(struct http_transaction *x, const char *why)
{
    refuse(x, (struct auth_refusal){401, why, CHALLENGE});
}

static void refuse_forged(struct http_transaction *x, const char *why)
{
    refuse(x, (struct auth_refusal){403, why, NULL});
}

static int has_csrf(const struct http_transaction *x, const char *token)
{
    char csrf[SESSION_CSRF_SIZE];
    const char *given = http_header(x, "X-CSRF-Token");
    return given && session_csrf(csrf, token) == 0 && strlen(given) == sizeof csrf - 1 &&
           digest_equal(given, csrf, sizeof csrf - 1);
}

static void take_answer(struct http_transaction *x, int answer, const struct error *why)
{
    if (answer == -ENOENT)
        refuse_session(x, "the session has ended: log in again at /admin/");
    else if (answer < 0)
        http_answer_consequence(x, "the session can't be looked up", why);
}

static int admit_session(struct http_transaction *x, const char *token)
{
    if (!(x->method & (HTTP_GET | HTTP_HEAD))) {
        if (http_origin(x) != HTTP_ORIGIN_OURS) {
            refuse_forged(x,
                          "with a session, only pages of this host may ask for this (Origin, Sec-Fetch-Site); programs "
                          "send a token of PERDURA_API_TOKEN");
            return 0;
        }
        if (!has_csrf(x, token)) {
            refuse_forged(x, "with a session, X-CSRF-Token is needed, as /admin/session tells it");
            return 0;
        }
    }
    int known = sessions_known(x->service->sessions, token, &x->session_expires_us);
    if (known == -EAGAIN)
        return 1;
    take_answer(x, known, NULL);
    return 0;
}

void http_authorize_session(struct http_transaction *x)
{
    char token[SESSION_TOKEN_SIZE];
    struct error why;
    int r = session_token(token, http_header(x, "Cookie"));
    if (r == 0)
        r = sessions_ask(x->service->sessions, token, &x->session_expires_us, &why);
    if (x->route->access == HTTP_DETAILS)
        x->detailed = r == 0;
    else
        take_answer(x, r, &why);
}

/* Authorization, unless it is of another scheme, which is for some proxy before us. */
static const char *bearer_of(const struct http_transaction *x)
{
    static const char scheme[] = "Bearer";
    const char *authorization = http_header(x, "Authorization");
    return authorization && strncasecmp(authorization, scheme, sizeof scheme - 1) == 0 ? authorization : NULL;
}

/* Nobody is refused. What must not wait looks no session up. */
static int admit_all(struct http_transaction *x)
{
    char token[SESSION_TOKEN_SIZE];
    const char *bearer = bearer_of(x);
    x->detailed = bearer && auth_check(x->service->auth, bearer, 0) == AUTH_GRANTED;
    if (bearer || !sessions_possible(x->service->sessions) || session_token(token, http_header(x, "Cookie")) < 0)
        return 0;
    int known = sessions_known(x->service->sessions, token, &x->session_expires_us);
    x->detailed = known == 0;
    return known == -EAGAIN && x->route->place != HTTP_INLINE;
}

int http_authorize(struct http_transaction *x)
{
    enum http_access access = x->route->access;
    char token[SESSION_TOKEN_SIZE];
    if (access == HTTP_OPEN_TO_ALL)
        return 0;
    if (access == HTTP_DETAILS)
        return admit_all(x);
    const char *bearer = access == HTTP_SESSION ? NULL : bearer_of(x);
    x->has_token = bearer && auth_check(x->service->auth, bearer, 0) == AUTH_GRANTED;
    enum auth_answer answer = x->has_token ? AUTH_GRANTED : auth_check(x->service->auth, bearer, opened_by(access));
    if (answer == AUTH_GRANTED)
        return 0;
    int possible = sessions_possible(x->service->sessions);
    if (possible && !bearer && session_token(token, http_header(x, "Cookie")) == 0)
        return admit_session(x, token);
    if (access == HTTP_SESSION || (possible && !bearer && answer == AUTH_NO_TOKEN_SET))
        refuse_session(x, possible ? "log in at /admin/"
                                   : "nobody can log in: set PERDURA_ADMIN_PASSWORD and start again");
    else
        refuse(x, auth_refusal(answer));
    return 0;
}
