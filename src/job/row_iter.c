#include "job/row_iter.h"

#define PAGE 1000

int row_iter(struct job *job, row_iter_fn *fn, void *arg, struct error *e)
{
    int64_t after = 0;
    int count;
    do {
        struct store_page *page;
        int64_t deadline_ms = 0;
        int r;
        do
            r = store_list_by_id(job->store, after, PAGE, &page, e);
        while (job_ask_again(job, r, &deadline_ms));
        if (r < 0)
            return r;
        count = store_page_count(page);
        for (int i = 0; i < count; i++) {
            struct image_meta meta;
            store_page_meta(page, i, &meta);
            fn(arg, &meta);
            after = meta.id;
        }
        store_page_free(page);
    } while (count == PAGE && !job_stopped(job));
    return 0;
}
