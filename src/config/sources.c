#include "config/sources.h"

#include <errno.h>

#include "base/printable.h"

/* How much of a wrong value, and of a file's name, error texts repeat. */
#define QUOTE_SIZE     100
#define FILE_NAME_SIZE 160

static const char *get_env(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

struct given sources_get(const struct sources *from, int id)
{
    const struct setting *s = &settings[id];
    struct given g = {.origin.source = CONFIG_FROM_FLAG};

    for (const struct config_flag *f = from->flags; f && f->name; f++) {
        if (config_find(f->name) != id || !*f->value)
            continue;
        g.text = f->value;
        snprintf(g.origin.name, sizeof g.origin.name, "%s", f->name);
    }
    if (g.text)
        return g;

    g.origin.source = CONFIG_FROM_ENVIRONMENT;
    for (size_t i = 0; setting_name(s, i, g.origin.name); i++) {
        g.text = get_env(from->env, g.origin.name);
        if (g.text && *g.text)
            return g;
    }

    g.origin.source = CONFIG_FROM_FILE;
    for (size_t i = 0; setting_name(s, i, g.origin.name); i++) {
        const struct dotenv_pair *pair = dotenv_get(&from->file, g.origin.name);
        if (pair && *pair->value) {
            g.text = pair->value;
            g.origin.line = pair->line;
            return g;
        }
    }

    g.origin.source = CONFIG_FROM_DEFAULT;
    g.text = s->fallback;
    setting_name(s, 0, g.origin.name);
    return g;
}

int sources_refuse(const struct sources *from, int id, const struct error *why, struct error *e)
{
    const struct setting *s = &settings[id];
    const struct given g = sources_get(from, id);
    char quoted[QUOTE_SIZE], file[FILE_NAME_SIZE], place[FILE_NAME_SIZE + 40];
    const char *mark = s->secret ? "" : "\"";
    const char *name = g.origin.name;

    switch (g.origin.source) {
    case CONFIG_FROM_FLAG:
        name = s->name;
        snprintf(place, sizeof place, "the command line");
        break;
    case CONFIG_FROM_ENVIRONMENT:
        snprintf(place, sizeof place, "the environment");
        break;
    case CONFIG_FROM_FILE:
        snprintf(place, sizeof place, "file %s, line %d", printable(file, sizeof file, from->file_name), g.origin.line);
        break;
    case CONFIG_FROM_DEFAULT:
        snprintf(place, sizeof place, "the default");
        break;
    }
    return error_set(e, why->code, "%s: %s%s%s (from %s) %s", name, mark,
                     s->secret ? "the value" : printable(quoted, sizeof quoted, g.text), mark, place, why->text);
}

int sources_warn(struct config *c, char *text)
{
    char **warnings = reallocarray(c->warnings, c->warnings_len + 1, sizeof *warnings);
    if (!warnings) {
        free(text);
        return -ENOMEM;
    }
    c->warnings = warnings;
    warnings[c->warnings_len++] = text;
    return 0;
}

static void hint(const char *name, char *ret, size_t size)
{
    char nearest[CONFIG_NAME_SIZE];
    if (setting_nearest(name, nearest))
        snprintf(ret, size, "; did you mean %s?", nearest);
    else
        *ret = '\0';
}

static int check_flags(const struct sources *from, struct error *e)
{
    char shown[CONFIG_NAME_SIZE];
    for (const struct config_flag *f = from->flags; f && f->name; f++)
        if (config_find(f->name) < 0)
            return error_set(e, -EINVAL, "there is no setting \"%s\"", printable(shown, sizeof shown, f->name));
    return 0;
}

static int check_file(const struct sources *from, struct error *e)
{
    for (size_t i = 0; i < from->file.len; i++) {
        const struct dotenv_pair *pair = &from->file.pairs[i];
        if (!setting_is_ours(pair->name) || config_find(pair->name) >= 0)
            continue;
        char file[FILE_NAME_SIZE], shown[CONFIG_NAME_SIZE], nearest[CONFIG_NAME_SIZE + 20];
        hint(pair->name, nearest, sizeof nearest);
        return error_set(e, -EINVAL, "%s (from file %s, line %d) is not a setting%s",
                         printable(shown, sizeof shown, pair->name), printable(file, sizeof file, from->file_name),
                         pair->line, nearest);
    }
    return 0;
}

int sources_check(const struct sources *from, struct error *e)
{
    int r = check_flags(from, e);
    return r < 0 ? r : check_file(from, e);
}

int sources_warning(char *const **pos, char **ret)
{
    char *const *env = *pos;
    for (; env && *env; env++) {
        char name[CONFIG_NAME_SIZE], shown[CONFIG_NAME_SIZE], nearest[CONFIG_NAME_SIZE + 20];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*env, "="), *env);
        if (!setting_is_ours(name) || config_find(name) >= 0)
            continue;
        hint(name, nearest, sizeof nearest);
        char *text;
        if (asprintf(&text, "%s (in the environment) is not a setting and has no effect%s",
                     printable(shown, sizeof shown, name), nearest) < 0)
            return -ENOMEM;
        *ret = text;
        *pos = env + 1;
        return 1;
    }
    *pos = env;
    return 0;
}
