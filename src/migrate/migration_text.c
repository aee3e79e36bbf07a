#include "migrate/migration_text.h"

#include <string.h>

#define CONCURRENT "-- no transaction\n"
#define COMPATIBLE "-- compatible from "
#define CREATES    "INDEX CONCURRENTLY IF NOT EXISTS "

int migration_text_is_concurrent(const char *text)
{
    return strncmp(text, CONCURRENT, strlen(CONCURRENT)) == 0;
}

static int word(const char *at, char ret[MIGRATION_WORD_SIZE])
{
    size_t n = strcspn(at, " \n");
    if (!n || n >= MIGRATION_WORD_SIZE)
        return 0;
    memcpy(ret, at, n);
    ret[n] = '\0';
    return 1;
}

int migration_text_compatible_from(const char *text, char ret[MIGRATION_WORD_SIZE])
{
    for (const char *line = text; strncmp(line, "--", 2) == 0; line++) {
        if (strncmp(line, COMPATIBLE, strlen(COMPATIBLE)) == 0)
            return word(line + strlen(COMPATIBLE), ret);
        line = strchr(line, '\n');
        if (!line)
            break;
    }
    return 0;
}

int migration_text_index(const char *text, char ret[MIGRATION_WORD_SIZE])
{
    const char *at = strstr(text, CREATES);
    return at ? word(at + strlen(CREATES), ret) : 0;
}
