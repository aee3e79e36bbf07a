#include "http/paging.h"

#include <errno.h>
#include <stdlib.h>

int paging_limit(const struct url_query *query, int otherwise, int most, int *ret, struct error *e)
{
    const char *text = url_query_get(query, "limit");
    char *end;
    long n = text ? strtol(text, &end, 10) : otherwise;
    if (text && (*end || end == text || n < 1 || n > most))
        return error_set(e, -EINVAL, "limit has to be a number from 1 to %d", most);
    *ret = (int)n;
    return 0;
}

int paging_history(const struct url_query *query, int otherwise, int most, struct store_history_page *ret,
                   struct error *e)
{
    const char *cursor = url_query_get(query, "cursor");
    *ret = store_history_first;
    int r = paging_limit(query, otherwise, most, &ret->limit, e);
    if (r == 0 && cursor && *cursor)
        r = store_history_after(cursor, ret, e);
    return r;
}
