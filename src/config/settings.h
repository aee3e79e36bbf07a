/* The table of settings.def as an array, and finding a setting by what people call it. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/value.h"

struct setting {
    const char *name;
    const char *aliases;  /* separated by single blanks, "" when there are none */
    const char *fallback; /* the default as one would write it, or NULL */
    struct value_type type;
    bool secret;
    size_t offset; /* of its field in struct config */
    const char *help;
};

/* CONFIG_LEN of them, in the order of enum config_id. */
extern const struct setting settings[];

/* Whether this is a name that belongs to us alone, so that a misspelt one is a mistake: it starts with PERDURA_. */
bool setting_is_ours(const char *name);

/* Calls up the names of a setting one after the other: copies number `i` (0: the main one) into `ret`. False behind
 * the last. */
bool setting_name(const struct setting *s, size_t i, char ret[CONFIG_NAME_SIZE]);

/* The name or alias nearest to a misspelt one, in few enough steps to be what was meant. False when none is. */
bool setting_nearest(const char *name, char ret[CONFIG_NAME_SIZE]);

#endif
