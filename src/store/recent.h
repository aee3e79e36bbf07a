/* What was learned lately, by name: at most so many, each for so long. Where one more would be too many, the one that
 * was learned first goes. Names and values are bytes, which are copied. The caller's lock is over it. */
#ifndef STORE_RECENT_H
#define STORE_RECENT_H

struct recent_one;

struct recent {
    unsigned max;
    int for_ms;
    struct recent_one *list; /* in the order of arrival */
};

/* Takes the place of what is there under that name. Out of memory, nothing is remembered. */
void recent_put(struct recent *r, const void *name, unsigned name_len, const void *value, unsigned value_len);

/* Copies the value, of at most `size` bytes. Returns whether there is one. */
int recent_get(struct recent *r, const void *name, unsigned name_len, void *ret_value, unsigned size);

/* Returns whether it was there. */
int recent_drop(struct recent *r, const void *name, unsigned name_len);

/* Drops those whose name `is_meant`. Returns how many. */
int recent_drop_meant(struct recent *r, int (*is_meant)(const char *name, const char *pattern), const char *pattern);

/* All of it. */
void recent_clear(struct recent *r);

#endif
