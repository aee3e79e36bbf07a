/* Lists that come a page at a time. */
#ifndef API_PAGING_H
#define API_PAGING_H

#include "codec/url.h"
#include "http/transaction.h"
#include "records/history.h"

/* `limit`: 1 to `most`, `otherwise` when it is not given. -EINVAL. */
int paging_limit(const struct url_query *query, int otherwise, int most, int *ret, struct error *e)
    __attribute__((warn_unused_result));

/* Adds the rows of a page to `rows`. 0 or -errno. */
typedef int paging_list_fn(struct store *store, const struct url_query *query, const struct store_history_page *page,
                           char ret_cursor[STORE_HISTORY_CURSOR_SIZE], json_t *rows, struct error *e);

/* The page of a list by time that the request asks for (`limit`, `cursor`): {name: rows, "cursor": of the next page, or
 * null}. NULL: it was answered why not. */
json_t *paging_list(struct http_transaction *x, const char *name, paging_list_fn *list);

#endif
