/* How to reach PostgreSQL, as text: libpq's URL or keyword=value form.
 *
 * libpq reads it; here it is only checked as far as needed to tell the secrets in it from the rest. */
#ifndef CONFIG_CONNINFO_H
#define CONFIG_CONNINFO_H

#include "base/buf.h"
#include "base/error.h"

/* 0 when the text has the form of a URL (postgresql:// or postgres://, ports numeric) or of keyword=value pairs. Else
 * -EINVAL and a phrase, which never repeats any of the text. */
int conninfo_check(const char *text, struct error *e) __attribute__((warn_unused_result));

/* Appends the text with every password shown as ***. Parameters are hidden unless they are known to be harmless, so
 * that a password with an unescaped '@', '/', '?', '&' or blank does not show its tail. 0, -EMSGSIZE, -ENOMEM. */
int conninfo_mask(const char *text, struct buf *out) __attribute__((warn_unused_result));

#endif
