/* Where values come from, and which source counts: command line, environment, file, default. */
#ifndef CONFIG_SOURCES_H
#define CONFIG_SOURCES_H

#include "base/error.h"
#include "config/config.h"
#include "config/dotenv.h"
#include "config/settings.h"

/* Borrowed from config_load's caller, but for the file's content. */
struct sources {
    const struct config_flag *flags;
    char *const *env;
    const char *file_name;
    struct dotenv file;
};

/* What the source that counts says about one setting. */
struct given {
    const char *text; /* not empty; NULL when no source has a value and there is no default */
    struct config_origin origin;
};

struct given sources_get(const struct sources *from, int id);

/* Completes a phrase about the value, `why`, to `PERDURA_DB_POOL: "abc" (from the environment) is not a number; ...`,
 * without the value when it is secret. Returns why->code. */
int sources_refuse(const struct sources *from, int id, const struct error *why, struct error *e);

/* -EINVAL when a flag is no setting, or the file has a PERDURA_* name that is none: it is written for us, so that this
 * is a mistake. Its other names may serve other programs. */
int sources_check(const struct sources *from, struct error *e) __attribute__((warn_unused_result));

/* Adds a line to what `perdura` warns of; takes the text. -ENOMEM. */
int sources_warn(struct config *c, char *text) __attribute__((warn_unused_result));

/* The next PERDURA_* name from *pos on in the environment that is no setting, in words; *pos moves behind it. The
 * environment is shared with other programs and releases, so that this is no mistake. 0 at the end, 1 with *ret set
 * (to be freed), -ENOMEM. */
int sources_warning(char *const **pos, char **ret) __attribute__((warn_unused_result));

#endif
