/* Looking for images by what is known of them, a page at a time and in several orders.
 *
 * However many there are, a page is found in little time: it comes of at most STORE_SEARCH_EXAMINED rows, one after the
 * other in the order's index, and has those of them that are meant, which may be fewer than was asked for, or none.
 * Whoever wants more goes on behind the last one examined. Where the filter itself means few rows by an index, they are
 * sorted instead, and one page has all that it is to have. */
#ifndef STORE_STORE_SEARCH_H
#define STORE_STORE_SEARCH_H

#include "store/store.h"

#define STORE_SEARCH_EXAMINED 2000

enum store_state {
    STORE_LIVE,
    STORE_TRASH,
    STORE_LARGE /* live, and in object storage */
};

enum store_order {
    STORE_ORDER_PATH,    /* collection and path */
    STORE_ORDER_HOTTEST, /* most recently used first; not of the trash */
    STORE_ORDER_NEWEST,
    STORE_ORDER_LARGEST,
    STORE_ORDER_DELETED, /* last deleted first; of the trash alone */
};

/* Texts are borrowed; NULL: any. `begin` has at most SAFEPATH_MAX bytes, as has the path of `after`. Points in time in
 * microseconds since 1970. */
struct store_filter {
    const char *collection;
    const char *begin; /* of the path, or, unless it has a '/', of the file's name in any case */
    const char *content_type, *object_id, *mime;
    int64_t min_size, max_size;                    /* both inclusive */
    int64_t accessed_after_us, accessed_before_us; /* from ... to before ... */
    int64_t created_after_us, created_before_us;
    enum store_state state;
};

/* One that means all that is live. */
struct store_filter store_filter_any(void);

/* Whether it means all of that state in its collection. */
int store_filter_is_open(const struct store_filter *filter);

struct store_found {
    struct store_page *page; /* to be freed */
    int count;               /* rows of the page that are meant; they are its first ones */
    int64_t examined;
    int more;               /* there are rows behind `last` */
    struct image_meta last; /* the last one examined, for `after`; borrows from the page. Of no use without rows */
};

/* Up to `limit` images behind `after` (NULL: from the start). As db_query. */
int store_search(struct store *store, const struct store_filter *filter, enum store_order order,
                 const struct image_meta *after, int limit, struct store_found *ret, struct error *e)
    __attribute__((warn_unused_result));

/* How many a filter means that is open, from the counters. */
int store_total(struct store *store, const struct store_filter *filter, int64_t *ret, struct error *e)
    __attribute__((warn_unused_result));

#endif
