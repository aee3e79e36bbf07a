#include "job/recount.h"

#include "base/log.h"

int recount(struct store *store, struct error *e)
{
    int64_t groups;
    int r = store_count_again(store, &groups, e);
    if (r == 0 && groups)
        log_event(LOG_WARN, "counters corrected", LOG_INT("days", groups));
    return r;
}

int recount_if_wrong(struct store *store, struct error *e)
{
    int r = store_advance_sequences(store, e);
    if (r == 0)
        r = store_counters_are_wrong(store, e);
    return r == 1 ? recount(store, e) : r;
}

int correct_paths(struct store *store, struct error *e)
{
    int corrected;
    int r = store_correct_paths(store, &corrected, e);
    if (r == 0 && corrected)
        log_fields(LOG_WARN, "search paths of functions corrected", NULL, 0);
    return r;
}
