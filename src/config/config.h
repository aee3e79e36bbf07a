/* The settings of one process: read once at start, never changed after, free to read from every thread.
 *
 * settings.def is the only list of them: the fields below, the parser, `perdura config` and docs/settings.md all come
 * from it. Precedence: flag, environment, --config FILE (dotenv), default. An empty value counts as not set. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/redis_url.h"

/* The enumerators follow the order of the words in settings.def. */
enum config_conflict { CONFIG_CONFLICT_NEWEST, CONFIG_CONFLICT_DISK, CONFIG_CONFLICT_STORE };

/* Statements with names: until the server reports that they vanish or exist already; always; never. */
enum config_prepared { CONFIG_PREPARED_AUTO, CONFIG_PREPARED_ON, CONFIG_PREPARED_OFF };

enum config_on_delete { CONFIG_ON_DELETE_KEEP, CONFIG_ON_DELETE_TRASH };

enum config_restore { CONFIG_RESTORE_BLOCK, CONFIG_RESTORE_BACKGROUND, CONFIG_RESTORE_LAZY, CONFIG_RESTORE_NONE };

enum config_cache_driver { CONFIG_CACHE_AUTO, CONFIG_CACHE_MEMORY, CONFIG_CACHE_REDIS };

enum config_compress { CONFIG_COMPRESS_OFF, CONFIG_COMPRESS_ZSTD };

enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARN, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

enum config_log_format { CONFIG_LOG_LOGFMT, CONFIG_LOG_JSON };

/* Bits, in the order of the words. */
enum config_open { CONFIG_OPEN_METRICS = 1, CONFIG_OPEN_STATS = 2, CONFIG_OPEN_UPLOAD = 4 };

enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENVIRONMENT, CONFIG_FROM_FLAG };

/* Index of each setting in the table: CONFIG_ID_db_pool ... */
enum config_id {
#define SETTING(field, ...) CONFIG_ID_##field,
#include "config/settings.def"
#undef SETTING
    CONFIG_LEN
};

#define CONFIG_COLLECTION_NAME_MAX 64

/* Room for the longest name of a setting and its NUL. */
#define CONFIG_NAME_SIZE 64

struct config_collection {
    char *name; /* [a-z0-9_-]{1,64}, unique */
    char *root; /* folder, without trailing slash; relative ones start at the working directory */
    char *url;  /* where it is served: "/avatars", no trailing slash, unique; NULL: not served under an own URL */
};

/* Where a collection's images come from, and its uploads go: a bucket, or a place on the web that is only read. */
struct image_origin {
    char *collection; /* as above, and never the name of one with a folder */
    enum image_origin_kind { IMAGE_ORIGIN_S3, IMAGE_ORIGIN_WEB } kind;
    char *bucket; /* of IMAGE_ORIGIN_S3 */
    char *prefix; /* likewise: what the keys begin with, "" or "a/b/"; to be encoded in a URL */
    char *url;    /* of IMAGE_ORIGIN_WEB: https:// or http://, host in lower case, path with a '/' at its end */
};

/* Where the value of one setting comes from and how it may be shown. */
struct config_origin {
    enum config_source source;
    char name[CONFIG_NAME_SIZE]; /* the name it was set by: the setting's own, an alias or a flag */
    int line;                    /* of the file; 0 elsewhere */
    char *shown;                 /* the value with its secrets hidden; NULL when not set and without default */
};

/* Strings are owned by the struct, NULL when not set and without default (database_url). */
struct config {
#define SETTING(field, ctype, ...) ctype field;
#include "config/settings.def"
#undef SETTING

    /* `media` (PERDURA_MEDIA_ROOT, PERDURA_MEDIA_URL) first, then PERDURA_COLLECTIONS in their order. */
    struct config_collection *collections;
    size_t collections_len; /* at least 1 after config_load */

    /* PERDURA_ORIGINS, in its order. */
    struct image_origin *image_origins;
    size_t image_origins_len;

    /* From REDIS_URL or REDIS_HOST and what completes them; hosts_len is 0 when images are not cached in Redis. */
    struct redis_url redis;

    /* One line each, for the caller to log: PERDURA_* names in the environment that are no settings. */
    char **warnings;
    size_t warnings_len;

    struct config_origin origins[CONFIG_LEN];
    char *file_source; /* "file NAME", NULL without a file */
};

/* One setting given on the command line. `name` is the setting's name, an alias, or its flag: lower case, '-' for '_',
 * without PERDURA_ ("db-pool", "media-root", "log-level"). The last of several flags for one setting counts. */
struct config_flag {
    const char *name;
    const char *value;
};

/* Reads all settings. `flags` ends with a NULL name and may be NULL, as may `env` (environ) and `dotenv_path`. Copies
 * what it keeps. -EINVAL for a wrong value, an unknown flag, a malformed file or an unknown PERDURA_* name in the
 * file; -EFBIG, -ENOMEM, or what opening and reading the file gave. *e then says in one line, without secrets, what to
 * put right. */
int config_load(struct config *ret, const struct config_flag *flags, char *const *env, const char *dotenv_path,
                struct error *e) __attribute__((warn_unused_result));

/* Frees what config_load made; the struct is all zero afterwards. */
void config_release(struct config *c);

/* Index of the setting with this name, alias or flag (see struct config_flag), -ENOENT when there is none. */
int config_find(const char *name);

/* The collection of that name, NULL when there is none. */
const struct config_collection *config_collection(const struct config *c, const char *name);

/* The origin of the collection of that name, NULL when it has none. */
const struct image_origin *config_image_origin(const struct config *c, const char *collection);

/* The names of all collections, or of the one called `only` (none, when there is no such one), ended by NULL. The array
 * is to be freed; NULL when out of memory. */
const char **config_collection_names(const struct config *c, const char *only);

#endif
