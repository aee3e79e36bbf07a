#include "api/paging.h"

#include <errno.h>
#include <stdlib.h>

#include "api/api.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX     500

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

json_t *paging_list(struct http_transaction *x, const char *name, paging_list_fn *list)
{
    struct store_history_page page = store_history_first;
    char cursor[STORE_HISTORY_CURSOR_SIZE] = "";
    struct url_query query;
    struct error why;
    if (http_query(x, &query) < 0)
        return NULL;
    json_t *rows = json_array();
    const char *after = url_query_get(&query, "cursor");
    int r = paging_limit(&query, PAGE_DEFAULT, PAGE_MAX, &page.limit, &why);
    if (r == 0 && after && *after)
        r = store_history_after(after, &page, &why);
    if (r == 0)
        r = list(x->service->store, &query, &page, cursor, rows, &why);
    url_query_release(&query);
    if (r < 0) {
        json_decref(rows);
        http_answer_error(x, NULL, &why);
        return NULL;
    }
    return json_pack("{s:o, s:o}", name, rows, "cursor", *cursor ? json_string(cursor) : json_null());
}
