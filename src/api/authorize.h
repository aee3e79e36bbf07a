/* Who is let in: by the route, by a Bearer token, or by a session of the admin page.
 *
 * A browser sends the cookie of a session along with requests that other pages cause. So a request that changes
 * something must come from a page of this host, as the browser tells (Origin, Sec-Fetch-Site), and bring the token that
 * only such a page can know. What a proxy says of the host is not asked: anybody can say that. */
#ifndef API_AUTHORIZE_H
#define API_AUTHORIZE_H

#include "http/transaction.h"

/* Lets the request in, or answers it: 0. 1: its session has to be looked up first, by http_authorize_session. */
int http_authorize(struct http_transaction *x) __attribute__((warn_unused_result));

/* Likewise, on a thread that may wait. */
void http_authorize_session(struct http_transaction *x);

/* Where a request comes from, as far as the browser tells. */
enum http_origin { HTTP_ORIGIN_OURS, HTTP_ORIGIN_UNKNOWN, HTTP_ORIGIN_OTHER };
enum http_origin http_origin(const struct http_transaction *x);

#endif
