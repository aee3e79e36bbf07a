/* What the head of an HTTP answer says; private to client/http_fetch*.c. */
#ifndef CLIENT_HTTP_FETCH_ANSWER_H
#define CLIENT_HTTP_FETCH_ANSWER_H

#include <stddef.h>

#include "client/http_fetch.h"

void fetch_answer_init(struct fetch_answer *a);

/* One line of the head, with or without its line end: n bytes, no NUL behind them. A status line begins anew: what came
 * before was an interim answer (100). */
void fetch_answer_line(struct fetch_answer *a, const char *line, size_t n);

/* Keeps the beginning of a body. */
void fetch_answer_detail(struct fetch_answer *a, const char *bytes, size_t n);

#endif
