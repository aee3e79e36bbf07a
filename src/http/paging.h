/* The arguments of lists that come a page at a time. */
#ifndef HTTP_PAGING_H
#define HTTP_PAGING_H

#include "codec/url.h"
#include "store/store_history.h"

/* `limit`: 1 to `most`, `otherwise` when it is not given. -EINVAL. */
int paging_limit(const struct url_query *query, int otherwise, int most, int *ret, struct error *e)
    __attribute__((warn_unused_result));

/* That, and `cursor`, of a list by time. -EINVAL. */
int paging_history(const struct url_query *query, int otherwise, int most, struct store_history_page *ret,
                   struct error *e) __attribute__((warn_unused_result));

#endif
