/* Dotenv files: NAME=VALUE lines, as shells and other programs read them, but nothing is expanded or run.
 *
 * A line is blank, a comment (#), or `NAME=VALUE`, perhaps with `export ` in front; blanks around the name, the '='
 * and the value do not count; lines may end in CRLF. A value is
 *   bare            up to the end of the line, or to a '#' after a blank; taken as it stands
 *   'in single'     as it stands
 *   "in double"     with \n \" \\ \$ for a line break, ", \ and $
 * Quotes end on the line they start on; only a comment may follow. Names are [A-Za-z_][A-Za-z0-9_]*. */
#ifndef CONFIG_DOTENV_H
#define CONFIG_DOTENV_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define DOTENV_MAX_BYTES 65536

struct dotenv_pair {
    char *name;
    char *value;
    int line; /* from 1 */
};

/* In the order of the file; a name may occur again. */
struct dotenv {
    struct dotenv_pair *pairs;
    size_t len;
};

/* Reads `len` bytes of text. -EINVAL and a text with the line number (never with the line, which may hold a secret);
 * -EFBIG beyond DOTENV_MAX_BYTES; -ENOMEM. */
int dotenv_parse(const char *text, size_t len, struct dotenv *ret, struct error *e) __attribute__((warn_unused_result));

/* The same for a file, whose name the text then gives. Also -errno of opening and reading. */
int dotenv_read(const char *path, struct dotenv *ret, struct error *e) __attribute__((warn_unused_result));

void dotenv_release(struct dotenv *d);

/* The value that counts for this name, the last one, or NULL. */
const struct dotenv_pair *dotenv_get(const struct dotenv *d, const char *name);

/* Appends a value so that dotenv_parse reads it back: bare where possible, else in double quotes. 0, -EMSGSIZE,
 * -ENOMEM. */
int dotenv_print_value(const char *value, struct buf *out) __attribute__((warn_unused_result));

#endif
