#include "config/config_print.h"

#include <errno.h>

#include "base/printable.h"
#include "config/dotenv.h"
#include "config/settings.h"

/* Column at which config_print puts the source. */
#define SOURCE_COLUMN 48

static const char *source_text(const struct config *c, enum config_source source)
{
    switch (source) {
    case CONFIG_FROM_FLAG:
        return "flag";
    case CONFIG_FROM_ENVIRONMENT:
        return "environment";
    case CONFIG_FROM_FILE:
        return c->file_source;
    case CONFIG_FROM_DEFAULT:
        break;
    }
    return "default";
}

bool config_entry(const struct config *c, size_t i, struct config_entry *ret)
{
    if (i >= CONFIG_LEN)
        return false;
    const struct setting *s = &settings[i];
    const struct config_origin *origin = &c->origins[i];
    *ret = (struct config_entry){
        .name = s->name,
        .aliases = s->aliases,
        .value = origin->shown,
        .source = source_text(c, origin->source),
        .set_by = origin->name,
        .unit = s->type.unit,
        .fallback = s->fallback,
        .help = s->help,
        .secret = s->secret,
    };
    return true;
}

static int print_entry(const struct config_entry *entry, struct buf *out)
{
    size_t start = out->len;
    if (!entry->value)
        return buf_addf(out, "# %s is not set\n", entry->name);
    int r = buf_addf(out, "%s=", entry->name);
    if (r == 0)
        r = dotenv_print_value(entry->value, out);
    if (r < 0)
        return r;
    size_t width = out->len - start;
    int gap = width < SOURCE_COLUMN ? (int)(SOURCE_COLUMN - width) : 0;
    r = buf_addf(out, "%*s # ", gap, "");
    /* A file's name may hold anything, line breaks too. */
    char source[256];
    if (r == 0)
        r = buf_addf(out, "%s", printable(source, sizeof source, entry->source));
    if (r == 0 && strcmp(entry->set_by, entry->name) != 0)
        r = buf_addf(out, ", as %s", entry->set_by);
    return r < 0 ? r : buf_addstr(out, "\n");
}

int config_print(const struct config *c, struct buf *out)
{
    struct config_entry entry;
    int r = 0;
    for (size_t i = 0; r == 0 && config_entry(c, i, &entry); i++)
        r = print_entry(&entry, out);
    return r;
}

static int markdown_row(const struct setting *s, struct buf *out)
{
    char name[CONFIG_NAME_SIZE];
    int r = buf_addf(out, "| `%s`", s->name);
    for (size_t i = 1; r == 0 && setting_name(s, i, name); i++)
        r = buf_addf(out, "%s`%s`", i == 1 ? ", also " : ", ", name);
    if (r == 0)
        r = s->fallback ? buf_addf(out, " | `%s` | ", s->fallback) : buf_addstr(out, " | none | ");
    if (r == 0)
        r = s->type.kind == VALUE_TEXT ? buf_addstr(out, "see below") : value_accepted(&s->type, out);
    const char *hidden = s->type.kind == VALUE_CONNINFO || s->type.kind == VALUE_REDIS_URL
                             ? " Its passwords are shown as `***`."
                             : " Shown as `***`.";
    return r < 0 ? r : buf_addf(out, " | %s%s |\n", s->help, s->secret ? hidden : "");
}

static const char markdown_head[] =
    "# Settings\n"
    "\n"
    "This page is made from `src/config/settings.def`; change that, not this.\n"
    "\n"
    "A setting is read from the first of these that has it: the command line (`--db-pool 8`: the name in lower case,\n"
    "with `-` for `_` and without `PERDURA_`), the environment, the file given with `--config FILE`, the default. An\n"
    "empty value counts as not set. Where a setting has several names, the first one counts. A wrong value ends the\n"
    "program at start with exit code 2 and a line that names the setting, the value and what is accepted.\n"
    "`perdura config` prints the effective settings and where each comes from, with the secrets hidden.\n"
    "\n"
    "| name | default | accepted | |\n"
    "| --- | --- | --- | --- |\n";

static const char markdown_tail[] =
    "\n"
    "## How values are written\n"
    "\n"
    "* On and off: `on`, `true`, `yes`, `1`; `off`, `false`, `no`, `0`.\n"
    "* Sizes: bytes, or with a unit: `5 MiB`, `5M`, `64k` and `64 KiB` count in powers of 1024; `5 MB` and `64 kB` in\n"
    "  powers of 1000; `G`, `GiB` and `GB` likewise. No fractions.\n"
    "* Words, units and on or off are read in any case.\n"
    "* Folders: relative ones start at the working directory. `~` and `$NAME` are not expanded.\n"
    "* Passwords in a URL: write `:` `/` `?` `#` `[` `]` `@` `%` and `&` as `%3A` `%2F` `%3F` `%23` `%5B` `%5D` `%40`\n"
    "  `%25` and `%26`.\n"
    "\n"
    "## `PERDURA_BIND` and `PERDURA_PORT`\n"
    "\n"
    "`PERDURA_BIND` is an IPv4 or IPv6 address: `127.0.0.1` for this machine alone, `0.0.0.0` or `::` for everyone.\n"
    "Where `PORT` is set, as platforms do, and `PERDURA_BIND` is not, `serve` listens on `0.0.0.0`.\n"
    "\n"
    "Under `run`, `PORT` belongs to the app. Perdura then listens on `PERDURA_PORT`, which must not be the app's, or,\n"
    "where that is not set, on 8080 (8081 if `PORT` is 8080); if that one is taken, the app runs without the HTTP\n"
    "service and a warning is logged.\n"
    "\n"
    "## `PERDURA_RESTORE`\n"
    "\n"
    "* `block`: the app starts when all stored files are on disk, the most recently used first, or after\n"
    "  `PERDURA_RESTORE_BUDGET`; what is missing then follows in the background.\n"
    "* `background`: the app starts at once.\n"
    "* `lazy`: a file is put back when it is asked for over HTTP.\n"
    "* `none`: nothing is put back by itself.\n"
    "\n"
    "## `PERDURA_COLLECTIONS`\n"
    "\n"
    "`name=folder` or `name=folder@/url`, separated by blanks or commas (which a folder thus cannot hold):\n"
    "`avatars=./public/avatars@/avatars invoices=/srv/scans`. Names are 1 to 64 of `a-z`, `0-9`, `_` and `-`. Each "
    "name,\n"
    "folder and URL occurs once. The collection `media` is always there.\n"
    "\n"
    "## The file\n"
    "\n"
    "`NAME=VALUE` lines of at most 64 KiB in all; `#` starts a comment at the start of a line or after a blank;\n"
    "`export ` in front of a name is allowed. A value stands bare, in `'single quotes'` as it is, or in `\"double\n"
    "quotes\"` with `\\n`, `\\\"`, `\\\\` and `\\$` for a line break, a quote, a backslash and a dollar sign. Nothing "
    "is\n"
    "expanded. Where a name occurs twice, the last one counts. `PERDURA_` names that are not in the table are "
    "refused,\n"
    "as they are most likely misspelt; in the environment they only cause a warning. Other names are ignored.\n";

int config_print_markdown(struct buf *out)
{
    int r = buf_addstr(out, markdown_head);
    for (int id = 0; r == 0 && id < CONFIG_LEN; id++)
        r = markdown_row(&settings[id], out);
    return r < 0 ? r : buf_addstr(out, markdown_tail);
}
