/* Settings in words: for `perdura config`, and for docs/settings.md. Nothing here ever holds a secret. */
#ifndef CONFIG_CONFIG_PRINT_H
#define CONFIG_CONFIG_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"

/* One effective setting. The strings live as long as the config they were taken from. */
struct config_entry {
    const char *name;
    const char *aliases;  /* separated by blanks, "" when there are none */
    const char *value;    /* secrets hidden; NULL: not set and without default */
    const char *source;   /* "flag", "environment", "file NAME" or "default" */
    const char *set_by;   /* the name or alias that gave the value; `name` for a default */
    const char *unit;     /* "days", "" when there is none */
    const char *fallback; /* the default as one would write it, NULL when there is none */
    const char *help;
    bool secret;
};

/* The setting number `i` of the table, in its order. False, and *ret untouched, when i >= CONFIG_LEN:
 *   for (size_t i = 0; config_entry(c, i, &entry); i++) */
bool config_entry(const struct config *c, size_t i, struct config_entry *ret);

/* Appends one line a setting, `NAME=value # source`; where nothing is secret, a --config FILE that gives the same
 * settings again. Settings without value are comments. 0, -EMSGSIZE, -ENOMEM. */
int config_print(const struct config *c, struct buf *out) __attribute__((warn_unused_result));

/* Appends docs/settings.md, which needs no config: it is about the table. 0, -EMSGSIZE, -ENOMEM. */
int config_print_markdown(struct buf *out) __attribute__((warn_unused_result));

#endif
