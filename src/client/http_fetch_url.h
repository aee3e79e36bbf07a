/* URLs by libcurl's own parser, so that what is checked is what is connected to; private to client/http_fetch*.c. */
#ifndef CLIENT_HTTP_FETCH_URL_H
#define CLIENT_HTTP_FETCH_URL_H

#include <curl/curl.h>

#include "base/error.h"
#include "client/http_fetch.h"

/* Parses `text` and holds it against the policy. *ret is freed by curl_url_cleanup. Writes the host, made fit to be
 * shown, to `host`. 0, -EPERM, -ENOMEM. */
int fetch_url_open(CURLU **ret, const struct fetch_policy *policy, const char *text, char host[128], struct error *e)
    __attribute__((warn_unused_result));

#endif
