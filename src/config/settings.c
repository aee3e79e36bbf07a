#include "config/settings.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "PERDURA_"

/* A label that a setting does not give keeps the value that stands before it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const struct setting settings[] = {
#define SETTING(field_, ctype, kind_, name_, ...)                                                                      \
    {                                                                                                                  \
        .name = name_,                                                                                                 \
        .aliases = "",                                                                                                 \
        .type = {.kind = VALUE_##kind_, .unit = "", .words = ""},                                                      \
        .offset = offsetof(struct config, field_),                                                                     \
        __VA_ARGS__,                                                                                                   \
    },
#include "config/settings.def"
#undef SETTING
};
#pragma GCC diagnostic pop

/* config.c stores a value by its kind; the field must be of the size that kind has. */
#define SIZE_OF_TEXT           sizeof(char *)
#define SIZE_OF_PATH           sizeof(char *)
#define SIZE_OF_URL_PATH       sizeof(char *)
#define SIZE_OF_CONNINFO       sizeof(char *)
#define SIZE_OF_REDIS_URL      sizeof(char *)
#define SIZE_OF_SHA256         sizeof(char *)
#define SIZE_OF_BOOL           sizeof(bool)
#define SIZE_OF_INTEGER        sizeof(int)
#define SIZE_OF_INTEGER_OR_OFF sizeof(int)
#define SIZE_OF_DAYTIME        sizeof(int)
#define SIZE_OF_BYTES          sizeof(int64_t)
#define SIZE_OF_ENUM           sizeof(int)
#define SIZE_OF_WORDS          sizeof(unsigned)
#define SIZE_OF_TOKENS         sizeof(char *)
#define SIZE_OF_PASSWORD       sizeof(char *)
#define SIZE_OF_URL_PATHS      sizeof(char *)
#define SIZE_OF_ENDPOINT       sizeof(char *)
#define SIZE_OF_BUCKET         sizeof(char *)
#define SIZE_OF_HOSTS          sizeof(char *)
#define SETTING(field, ctype, kind, name, ...)                                                                         \
    _Static_assert(sizeof(ctype) == SIZE_OF_##kind, name ": the C type does not fit the kind");                        \
    _Static_assert(sizeof(name) <= CONFIG_NAME_SIZE, name ": too long");
#include "config/settings.def"
#undef SETTING

bool setting_is_ours(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

bool setting_name(const struct setting *s, size_t i, char ret[CONFIG_NAME_SIZE])
{
    const char *name = i ? s->aliases : s->name;
    for (; i > 1 && *name; i--)
        name += strcspn(name, " ") + (strchr(name, ' ') != NULL);
    int len = (int)strcspn(name, " ");
    snprintf(ret, CONFIG_NAME_SIZE, "%.*s", len, name);
    return len > 0;
}

/* A name without the PERDURA_ that it may start with. */
static const char *without_prefix(const char *name)
{
    return setting_is_ours(name) ? name + strlen(PREFIX) : name;
}

/* Whether `flag` ("db-pool") is how `name` ("PERDURA_DB_POOL") is written on the command line. */
static bool is_flag_of(const char *flag, const char *name)
{
    name = without_prefix(name);
    for (; *flag && *name; flag++, name++)
        if (*flag != (*name == '_' ? '-' : tolower((unsigned char)*name)))
            return false;
    return *flag == *name;
}

int config_find(const char *name)
{
    char known[CONFIG_NAME_SIZE];
    for (int id = 0; id < CONFIG_LEN; id++)
        for (size_t i = 0; setting_name(&settings[id], i, known); i++)
            if (strcmp(name, known) == 0 || is_flag_of(name, known))
                return id;
    return -ENOENT;
}

/* How many letters must be added, dropped or changed, or neighbours swapped, to make b of a; both are shorter than
 * CONFIG_NAME_SIZE, and case does not count. Three rows of the table are enough. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][CONFIG_NAME_SIZE];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    size_t len = strlen(b);

    for (size_t j = 0; j <= len; j++)
        last[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            int x = toupper((unsigned char)a[i - 1]), y = toupper((unsigned char)b[j - 1]);
            size_t best = last[j - 1] + (x != y);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == toupper((unsigned char)b[j - 2]) && y == toupper((unsigned char)a[i - 2]) &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[len];
}

bool setting_nearest(const char *name, char ret[CONFIG_NAME_SIZE])
{
    if (strnlen(name, CONFIG_NAME_SIZE) == CONFIG_NAME_SIZE)
        return false;

    /* The prefix makes all names alike, and is itself left out or added by mistake. A third of the rest may differ. */
    name = without_prefix(name);
    size_t best = strlen(name) / 3 + 2;
    bool found = false;
    char known[CONFIG_NAME_SIZE];
    for (int id = 0; id < CONFIG_LEN; id++) {
        for (size_t i = 0; setting_name(&settings[id], i, known); i++) {
            size_t steps = distance(name, without_prefix(known));
            if (steps >= best)
                continue;
            best = steps;
            found = true;
            memcpy(ret, known, sizeof known);
        }
    }
    return found;
}
