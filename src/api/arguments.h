/* The JSON object that a request may carry: the names that a route takes, and what each has to be. */
#ifndef API_ARGUMENTS_H
#define API_ARGUMENTS_H

#include "http/transaction.h"

enum http_argument_kind {
    HTTP_ARGUMENT_FLAG,
    HTTP_ARGUMENT_DAYS,  /* 1 to 36,500 */
    HTTP_ARGUMENT_COUNT, /* 1 to 1,000,000 */
    HTTP_ARGUMENT_TEXT,  /* not empty */
    HTTP_ARGUMENT_NAME,  /* likewise, or null: it is to have none */
    HTTP_ARGUMENT_PATHS, /* a list of texts, not empty */
    HTTP_ARGUMENT_IDS,   /* a list of 1 to HTTP_ARGUMENT_IDS_MAX numbers of images */
    HTTP_ARGUMENT_OBJECT,
};

#define HTTP_ARGUMENT_IDS_MAX 1000

struct http_argument {
    const char *name;
    enum http_argument_kind kind;
};

/* The body as an object with no other names than those of `known`, which ends with a name of NULL; no body is an empty
 * object. The caller's reference. NULL: the exchange is answered (400). */
json_t *http_arguments(struct http_transaction *x, const struct http_argument *known);

/* The text of that name; NULL when it was not given. The object's. */
const char *http_argument_text(const json_t *arguments, const char *name);

#endif
