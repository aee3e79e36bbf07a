#include "api/auth.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "codec/digest.h"
#include "config/config.h"
#include "config/listvalue.h"

struct auth {
    unsigned open;
    size_t count;
    unsigned char digests[][DIGEST_SHA256_LEN];
};

int auth_open(struct auth **ret, const struct config *config, struct error *e)
{
    size_t count = 0, len;
    const char *item, *list = config->api_token ? config->api_token : "";
    for (const char *rest = list; listvalue_next(&rest, &len);)
        count++;

    struct auth *auth = calloc(1, sizeof *auth + count * sizeof auth->digests[0]);
    if (!auth)
        return error_set(e, -ENOMEM, "no memory is left for the tokens of the API");
    auth->open = config->open_routes;
    while ((item = listvalue_next(&list, &len))) {
        int r = digest_sha256(item, len, auth->digests[auth->count++]);
        if (r < 0) {
            auth_close(auth);
            return error_set(e, r, "OpenSSL cannot make the digest of a token");
        }
    }
    *ret = auth;
    return 0;
}

void auth_close(struct auth *auth)
{
    free(auth);
}

/* All of them are compared: the answer's time tells nothing. */
static int is_ours(const struct auth *auth, const char *token, size_t len)
{
    unsigned char digest[DIGEST_SHA256_LEN];
    int found = 0;
    if (digest_sha256(token, len, digest) < 0)
        return 0;
    for (size_t i = 0; i < auth->count; i++)
        found |= CRYPTO_memcmp(auth->digests[i], digest, sizeof digest) == 0;
    return found;
}

enum auth_answer auth_check(const struct auth *auth, const char *authorization, unsigned open)
{
    static const char scheme[] = "Bearer";
    const size_t n = sizeof scheme - 1;
    if (auth->open & open)
        return AUTH_GRANTED;
    if (!auth->count)
        return AUTH_NO_TOKEN_SET;
    if (!authorization || strncasecmp(authorization, scheme, n) != 0 ||
        (authorization[n] != ' ' && authorization[n] != '\0'))
        return AUTH_MISSING;

    const char *token = authorization + n + strspn(authorization + n, " ");
    size_t len = strlen(token);
    while (len && (token[len - 1] == ' ' || token[len - 1] == '\t'))
        len--;
    if (!listvalue_is_token(token, len))
        return AUTH_MALFORMED;
    return is_ours(auth, token, len) ? AUTH_GRANTED : AUTH_WRONG;
}

struct auth_refusal auth_refusal(enum auth_answer answer)
{
    switch (answer) {
    case AUTH_NO_TOKEN_SET:
        return (struct auth_refusal){503, "No token is set: set PERDURA_API_TOKEN and start again.", NULL};
    case AUTH_MISSING:
        return (struct auth_refusal){401, "Send a token of PERDURA_API_TOKEN as Authorization: Bearer TOKEN.",
                                     "Bearer realm=\"perdura\""};
    case AUTH_MALFORMED:
        return (struct auth_refusal){400, "Authorization must be Bearer, a blank and one token.",
                                     "Bearer realm=\"perdura\", error=\"invalid_request\""};
    case AUTH_WRONG:
        return (struct auth_refusal){401, "This token is none of those in PERDURA_API_TOKEN.",
                                     "Bearer realm=\"perdura\", error=\"invalid_token\""};
    case AUTH_GRANTED:
        break;
    }
    return (struct auth_refusal){200, "", NULL};
}
