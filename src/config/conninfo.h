/* How to reach PostgreSQL, as text: libpq's URL or keyword=value form.
 *
 * libpq reads it; here it is only checked as far as needed to tell the secrets in it from the rest. */
#ifndef CONFIG_CONNINFO_H
#define CONFIG_CONNINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* 0 when the text has the form of a URL (postgresql://, or as other drivers have it; ports numeric) or of keyword=value
 * pairs. Else
 * -EINVAL and a phrase, which never repeats any of the text. */
int conninfo_check(const char *text, struct error *e) __attribute__((warn_unused_result));

/* Appends the text with every password shown as ***. Parameters are hidden unless they are known to be harmless, so
 * that a password with an unescaped '@', '/', '?', '&' or blank does not show its tail. 0, -EMSGSIZE, -ENOMEM. */
int conninfo_mask(const char *text, struct buf *out) __attribute__((warn_unused_result));

/* Appends the text as libpq takes it: with libpq's scheme, without parameters that it does not know, with '@' in a
 * password and '%' that begins no %XX escaped, with an sslmode that it has. What was changed so that it means less than
 * before is appended to the warning ("dropped pool, dropped schema"), without secrets. 0, -EMSGSIZE, -ENOMEM. */
typedef bool conninfo_known_fn(const char *keyword);

int conninfo_adapt(const char *text, conninfo_known_fn *known, struct buf *out, struct buf *warning)
    __attribute__((warn_unused_result));

/* What follows the :// of a PostgreSQL URL; NULL: it is none. */
const char *conninfo_after_scheme(const char *text);

/* Moves over one `keyword = value`, quoted or not, as libpq reads it. Returns false at the end or at a mistake, where
 * *pos then is. */
bool conninfo_next_pair(const char **pos, const char **ret_name, size_t *ret_name_len);

#endif
