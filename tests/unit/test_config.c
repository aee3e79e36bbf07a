#include "config/config.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config_print.h"
#include "config/conninfo.h"
#include "config/listvalue.h"
#include "config/settings.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

/* Loads with one setting in the environment. */
static int load_env(struct config *c, const char *name, const char *value, struct error *e)
{
    static char text[2 * VALUE_MAX];
    snprintf(text, sizeof text, "%s=%s", name, value);
    char *env[] = {text, NULL};
    return config_load(c, NULL, env, NULL, e);
}

static void make_file(char *path, size_t size, const char *text)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, size, "%s/config-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static struct config_entry entry_of(const struct config *c, const char *name)
{
    struct config_entry entry;
    int id = config_find(name);
    assert_true(id >= 0);
    assert_true(config_entry(c, (size_t)id, &entry));
    return entry;
}

static void has_defaults(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(config_load(&c, NULL, NULL, NULL, NULL), 0);
    assert_null(c.database_url);
    assert_int_equal(c.db_prepared, CONFIG_PREPARED_AUTO);
    assert_int_equal(c.db_pool, 4);
    assert_string_equal(c.media_root, "./media");
    assert_string_equal(c.media_url, "/media");
    assert_int_equal(c.inline_max_bytes, 5 * 1024 * 1024);
    assert_int_equal(c.max_upload_bytes, 50 * 1024 * 1024);
    assert_null(c.api_token);
    assert_int_equal(c.open_routes, 0);
    assert_null(c.api_prefix);
    assert_int_equal(c.cleanup_days, 0);
    assert_int_equal(c.conflict, CONFIG_CONFLICT_NEWEST);
    assert_int_equal(c.log_level, CONFIG_LOG_INFO);
    assert_int_equal(c.log_format, CONFIG_LOG_LOGFMT);
    assert_int_equal(c.collections_len, 1);
    assert_string_equal(c.collections[0].name, "media");
    assert_int_equal(c.warnings_len, 0);
    assert_string_equal(entry_of(&c, "PERDURA_DB_POOL").source, "default");
    assert_null(entry_of(&c, "DATABASE_URL").value);
    config_release(&c);
    assert_null(c.media_root);
    config_release(&c);
}

/* Values as given and as shown, which every kind reads back to the same. */
static const struct {
    const char *name, *value, *shown;
} accepted[] = {
    {"PERDURA_DB_POOL", "2", "2"},
    {"PERDURA_DB_POOL", "100", "100"},
    {"PERDURA_DB_POOL", " +007\n", "7"},
    {"PERDURA_CLEANUP_AT", "00:00", "00:00"},
    {"PERDURA_CLEANUP_AT", " 2:05", "02:05"},
    {"PERDURA_CLEANUP_AT", "23:59", "23:59"},
    {"PERDURA_CLEANUP_DAYS", "90", "90"},
    {"PERDURA_CLEANUP_DAYS", " Off ", "off"},
    {"PERDURA_TRASH_DAYS", "1", "1"},
    {"PERDURA_SYNC_INTERVAL", "86400", "86400"},
    {"PERDURA_DB_PREPARED", "OFF", "off"},
    {"PERDURA_DB_PREPARED", "0", "off"},
    {"PERDURA_DB_PREPARED", "no", "off"},
    {"PERDURA_DB_PREPARED", "False", "off"},
    {"PERDURA_DB_PREPARED", "on", "on"},
    {"PERDURA_DB_PREPARED", "yes", "on"},
    {"PERDURA_DB_PREPARED", "1", "on"},
    {"PERDURA_DB_PREPARED", "TRUE ", "on"},
    {"PERDURA_INLINE_MAX", "1024", "1 KiB"},
    {"PERDURA_INLINE_MAX", "1025", "1025"},
    {"PERDURA_INLINE_MAX", "1025 B", "1025"},
    {"PERDURA_INLINE_MAX", "64k", "64 KiB"},
    {"PERDURA_INLINE_MAX", "64 kib", "64 KiB"},
    {"PERDURA_INLINE_MAX", "64 kB", "64000"},
    {"PERDURA_INLINE_MAX", "5MiB", "5 MiB"},
    {"PERDURA_INLINE_MAX", "5 m", "5 MiB"},
    {"PERDURA_INLINE_MAX", "5 MB", "5000000"},
    {"PERDURA_INLINE_MAX", "5242880", "5 MiB"},
    {"PERDURA_INLINE_MAX", "50MiB", "50 MiB"},
    {"PERDURA_CONFLICT", "Disk", "disk"},
    {"PERDURA_CONFLICT", "store", "store"},
    {"LOG_LEVEL", "DEBUG", "debug"},
    {"PERDURA_LOG_FORMAT", "json", "json"},
    {"PERDURA_MEDIA_ROOT", "/", "/"},
    {"PERDURA_MEDIA_ROOT", "/srv/my images//", "/srv/my images"},
    {"PERDURA_MEDIA_ROOT", " media", " media"},
    {"PERDURA_MEDIA_URL", "/a/b-c/", "/a/b-c"},
    {"PERDURA_MEDIA_URL", "/...", "/..."},
    {"PERDURA_MEDIA_URL", "/api/media", "/api/media"},
    {"PERDURA_MEDIA_URL", "/healthy", "/healthy"},
    {"PERDURA_COLLECTIONS", "a=./a, b=./b@/b", "a=./a, b=./b@/b"},
    {"DATABASE_URL", "postgresql://u:secret@h/db", "postgresql://u:***@h/db"},
    {"PERDURA_MAX_UPLOAD", "1 GiB", "1 GiB"},
    {"PERDURA_ADMIN_PASSWORD", " two words\n", "***"},
    {"PERDURA_ADMIN_PASSWORD", "scrypt$16384$8$5$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "***"},
    {"PERDURA_API_TOKEN", "secret", "***"},
    {"PERDURA_API_TOKEN", "a-._~+/9==, Zz\n", "***"},
    {"PERDURA_OPEN", "metrics", "metrics"},
    {"PERDURA_OPEN", "Upload, ,STATS upload,\n", "stats,upload"},
    {"PERDURA_OPEN", "metrics,stats,upload", "metrics,stats,upload"},
    {"PERDURA_API_PREFIX", "/partners", "/partners"},
    {"PERDURA_API_PREFIX", " /partners/ , /a/b//", "/partners,/a/b"},
};

static void reads_and_shows_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(accepted); i++) {
        struct config c;
        struct error e = {0};
        if (load_env(&c, accepted[i].name, accepted[i].value, &e) < 0)
            fail_msg("%s", e.text);
        struct config_entry entry = entry_of(&c, accepted[i].name);
        assert_string_equal(entry.value, accepted[i].shown);
        assert_string_equal(entry.source, "environment");
        assert_string_equal(entry.set_by, accepted[i].name);
        config_release(&c);
    }
}

static const struct {
    const char *name, *value, *error;
} refused[] = {
    {"PERDURA_DB_POOL", "abc",
     "PERDURA_DB_POOL: \"abc\" (from the environment) is not a number; accepted: 2 to 100 connections"},
    {"PERDURA_CLEANUP_AT", "24:00", "is not a time of day; accepted: a time from 00:00 to 23:59"},
    {"PERDURA_CLEANUP_AT", "02:60", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", "02:0", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", "02:000", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", "002:00", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", "2", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", ":00", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", "-2:00", "is not a time of day"},
    {"PERDURA_CLEANUP_AT", "02:00pm", "is not a time of day"},
    {"PERDURA_DB_POOL", "1", "is too small; accepted: 2 to 100 connections"},
    {"PERDURA_DB_POOL", "101", "is too large"},
    {"PERDURA_DB_POOL", "-4", "is too small"},
    {"PERDURA_DB_POOL", "4294967300", "is too large"},
    {"PERDURA_DB_POOL", "99999999999999999999999999", "is too large"},
    {"PERDURA_DB_POOL", "-99999999999999999999999999", "is too small"},
    {"PERDURA_DB_POOL", "4 5", "is not a number"},
    {"PERDURA_DB_POOL", "+-4", "is not a number"},
    {"PERDURA_DB_POOL", "-", "is not a number"},
    {"PERDURA_DB_POOL", "0x10", "is not a number"},
    {"PERDURA_DB_POOL", "4\nx", "\"4\\nx\" (from the environment) is not a number"},
    {"PERDURA_DB_POOL", " ", "is empty"},
    {"PERDURA_DB_PREPARED", "onn", "is none of the words; accepted: auto, on or off"},
    {"PERDURA_ADAPTIVE_TTL", "2", "is neither on nor off; accepted: on or off"},
    {"PERDURA_INLINE_MAX", "5 MiBs", "is not a size; accepted: 1 KiB to 50 MiB"},
    {"PERDURA_INLINE_MAX", "1.5 MiB", "is not a size"},
    {"PERDURA_INLINE_MAX", "-5 MiB", "is not a size"},
    {"PERDURA_INLINE_MAX", "MiB", "is not a size"},
    {"PERDURA_INLINE_MAX", "1023", "is too small"},
    {"PERDURA_INLINE_MAX", "52428801", "is too large"},
    {"PERDURA_INLINE_MAX", "17179869184 GiB", "is too large"},
    {"PERDURA_INLINE_MAX", "18446744073709552640", "is too large"},
    {"PERDURA_CLEANUP_DAYS", "0", "accepted: 1 to 36500 days, or off"},
    {"PERDURA_CONFLICT", "oldest", "is none of the words; accepted: newest, disk or store"},
    {"PERDURA_CONFLICT", "newest disk", "is none of the words"},
    {"LOG_LEVEL", "warning", "accepted: error, warn, info or debug"},
    {"PERDURA_LOG_FORMAT", "xml", "accepted: logfmt or json"},
    {"PERDURA_MEDIA_ROOT", "a\nb", "holds a control character"},
    {"PERDURA_MEDIA_URL", "media", "is not a URL path; accepted: a URL path such as /media"},
    {"PERDURA_MEDIA_URL", "/", "is not a URL path"},
    {"PERDURA_MEDIA_URL", "/a/../b", "is not a URL path"},
    {"PERDURA_MEDIA_URL", "/.", "is not a URL path"},
    {"PERDURA_MEDIA_URL", "/a//b", "is not a URL path"},
    {"PERDURA_MEDIA_URL", "/a?b", "is not a URL path"},
    {"PERDURA_MEDIA_URL", "/a b", "is not a URL path"},
    {"PERDURA_MEDIA_URL", "https://h/media", "is not a URL path"},
    {"PERDURA_MAX_UPLOAD", "2 GiB", "is too large; accepted: 1 KiB to 1 GiB"},
    {"PERDURA_ADMIN_PASSWORD", "scrypt$16384$8$5$x",
     "PERDURA_ADMIN_PASSWORD: the value (from the environment) begins like a hash and is none"},
    {"PERDURA_ADMIN_PASSWORD", "tab\there", "holds a control character"},
    {"PERDURA_API_TOKEN", "a b=c",
     "PERDURA_API_TOKEN: the value (from the environment) is no list of tokens; accepted: tokens of A-Z a-z 0-9"},
    {"PERDURA_API_TOKEN", "pass:word", "is no list of tokens"},
    {"PERDURA_API_TOKEN", "=", "is no list of tokens"},
    {"PERDURA_API_TOKEN", "caf\xc3\xa9", "is no list of tokens"},
    {"PERDURA_API_TOKEN", "a,\"b\"", "is no list of tokens"},
    {"PERDURA_API_TOKEN", ", ,", "is no list of tokens"},
    {"PERDURA_OPEN", "all",
     "PERDURA_OPEN: \"all\" (from the environment) is no list of these words; accepted: metrics, stats and upload, "
     "separated by commas"},
    {"PERDURA_OPEN", "metrics;stats", "is no list of these words"},
    {"PERDURA_OPEN", "metric", "is no list of these words"},
    {"PERDURA_OPEN", ",", "is no list of these words"},
    {"PERDURA_API_PREFIX", "partners", "is no list of URL paths; accepted: URL paths such as /partners, separated by"},
    {"PERDURA_API_PREFIX", "/", "is no list of URL paths"},
    {"PERDURA_API_PREFIX", "/a,/b/../c", "is no list of URL paths"},
    {"PERDURA_COLLECTIONS", "avatars", "has a collection \"avatars\" without =folder; accepted: name=folder or"},
    {"PERDURA_COLLECTIONS", "a=", "has a collection \"a\" without a usable folder"},
    {"PERDURA_COLLECTIONS", "a=@/a", "has a collection \"a\" without a usable folder"},
    {"PERDURA_COLLECTIONS", "A=x", "has a collection \"A\" whose name is not 1 to 64 of a-z 0-9 _ -"},
    {"PERDURA_COLLECTIONS", "=x", "whose name is not"},
    {"PERDURA_COLLECTIONS", "a=x@/", "whose URL is not a path"},
    {"PERDURA_COLLECTIONS", "a=x@/image-cache/a", "has a collection \"a\" at a URL where the API answers"},
    {"PERDURA_MEDIA_URL", "/api", "at a URL where the API answers"},
    {"PERDURA_COLLECTIONS", "a=x a=y", "has a collection \"a\" twice"},
    {"PERDURA_COLLECTIONS", "media=x", "has a collection \"media\" which PERDURA_MEDIA_ROOT sets already"},
    {"PERDURA_COLLECTIONS", "a=media/", "has a collection \"a\" with another one's folder"},
    {"PERDURA_COLLECTIONS", "a=x@/u b=y@/u/", "has a collection \"b\" with another one's URL"},
    {"PERDURA_COLLECTIONS", "a=x@/media", "has a collection \"a\" with another one's URL"},
    {"PERDURA_COLLECTIONS", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=x", "whose name is not"},
};

static void refuses_wrong_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(refused); i++) {
        struct config c = {.db_pool = 77};
        struct error e = {0};
        assert_int_equal(load_env(&c, refused[i].name, refused[i].value, &e), -EINVAL);
        assert_int_equal(e.code, -EINVAL);
        assert_memory_equal(e.text, refused[i].name, strlen(refused[i].name));
        if (!strstr(e.text, refused[i].error))
            fail_msg("\"%s\" does not say \"%s\"", e.text, refused[i].error);
        assert_int_equal(c.db_pool, 77);
        assert_null(c.media_root);
    }
}

static void reads_lists(void **state)
{
    (void)state;
    char *env[] = {"PERDURA_API_TOKEN=abc,, def==", "PERDURA_OPEN=upload metrics", "PERDURA_API_PREFIX=/x/,/y", NULL};
    struct config c;
    size_t len;
    assert_int_equal(config_load(&c, NULL, env, NULL, NULL), 0);
    assert_string_equal(c.api_token, "abc,def==");
    assert_int_equal(c.open_routes, CONFIG_OPEN_METRICS | CONFIG_OPEN_UPLOAD);
    assert_string_equal(c.api_prefix, "/x,/y");
    const char *list = c.api_prefix;
    assert_ptr_equal(listvalue_next(&list, &len), c.api_prefix);
    assert_int_equal(len, 2);
    assert_ptr_equal(listvalue_next(&list, &len), c.api_prefix + 3);
    assert_null(listvalue_next(&list, &len));
    assert_null(listvalue_next(&list, &len));
    config_release(&c);
}

static void takes_flag_then_environment_then_file(void **state)
{
    (void)state;
    char path[256], file_source[300];
    make_file(path, sizeof path,
              "OTHER=1\nPERDURA_DB_POOL=10\nLOG_LEVEL=debug\nPERDURA_CONFLICT=disk\n"
              "PERDURA_MEDIA_ROOT=x\nPERDURA_MEDIA_ROOT=\n");
    char *env[] = {"PERDURA_DB_POOL=20", "LOG_LEVEL=warn", "PERDURA_CONFLICT=", "PERDURA_DB_POOLS", NULL};
    const struct config_flag flags[] = {
        {"db-pool", "30"}, {"PERDURA_DB_POOL", "31"}, {"db-pool", ""}, {"cleanup-days", "7"}, {NULL, NULL}};
    struct config c;
    struct error e = {0};

    if (config_load(&c, flags, env, path, &e) < 0)
        fail_msg("%s", e.text);
    snprintf(file_source, sizeof file_source, "file %s", path);
    assert_int_equal(c.db_pool, 31);
    assert_string_equal(entry_of(&c, "db-pool").source, "flag");
    assert_int_equal(c.cleanup_days, 7);
    assert_string_equal(entry_of(&c, "cleanup-days").set_by, "cleanup-days");
    assert_int_equal(c.log_level, CONFIG_LOG_WARN);
    assert_string_equal(entry_of(&c, "LOG_LEVEL").source, "environment");
    assert_int_equal(c.conflict, CONFIG_CONFLICT_DISK);
    assert_string_equal(entry_of(&c, "PERDURA_CONFLICT").source, file_source);
    assert_int_equal(c.origins[CONFIG_ID_conflict].line, 4);
    assert_string_equal(c.media_root, "./media");
    config_release(&c);
    unlink(path);
    assert_int_equal(config_load(&c, NULL, env, path, &e), -ENOENT);
}

static void takes_the_first_name_that_is_set(void **state)
{
    (void)state;
    char *both[] = {"SCALINGO_POSTGRESQL_URL=postgres://s/s", "PERDURA_DATABASE_URL=postgres://p/p", NULL};
    char *all[] = {"SCALINGO_POSTGRESQL_URL=postgres://s/s", "PERDURA_DATABASE_URL=postgres://p/p",
                   "DATABASE_URL=postgres://d/d", NULL};
    char *empty[] = {"SCALINGO_POSTGRESQL_URL=postgres://s/s", "PERDURA_DATABASE_URL=", "DATABASE_URL=", NULL};
    const struct {
        char **env;
        const char *url, *set_by;
    } cases[] = {{both, "postgres://p/p", "PERDURA_DATABASE_URL"},
                 {all, "postgres://d/d", "DATABASE_URL"},
                 {empty, "postgres://s/s", "SCALINGO_POSTGRESQL_URL"}};
    for (size_t i = 0; i < LEN(cases); i++) {
        struct config c;
        assert_int_equal(config_load(&c, NULL, cases[i].env, NULL, NULL), 0);
        assert_string_equal(c.database_url, cases[i].url);
        assert_string_equal(entry_of(&c, "DATABASE_URL").set_by, cases[i].set_by);
        config_release(&c);
    }
}

static void knows_misspelt_names(void **state)
{
    (void)state;
    static const struct {
        const char *file, *error;
    } cases[] = {
        {"A=b\nPERDURA_DB_POL=4\n", "line 2) is not a setting; did you mean PERDURA_DB_POOL?"},
        {"PERDURA_MEDAI_ROOT=x\n", "did you mean PERDURA_MEDIA_ROOT?"},
        {"PERDURA_LOG_LEVEL=x\n", "did you mean LOG_LEVEL?"},
        {"PERDURA_SOMETHING_ELSE=x\n", "line 1) is not a setting"},
        {"PERDURA_DB_POOL=x\n", "PERDURA_DB_POOL: \"x\" (from file "},
        {"A\n", "line 1: has no ="},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        char path[256];
        struct config c;
        struct error e = {0};
        make_file(path, sizeof path, cases[i].file);
        assert_int_equal(config_load(&c, NULL, NULL, path, &e), -EINVAL);
        if (!strstr(e.text, cases[i].error) || !strstr(e.text, path))
            fail_msg("\"%s\" does not say \"%s\"", e.text, cases[i].error);
        unlink(path);
    }

    char *env[] = {"PERDURA_DB_POL=secret", "PERDURA_", "PERDURA_DB_POOL=5", "OTHER=1", NULL};
    struct config c;
    assert_int_equal(config_load(&c, NULL, env, NULL, NULL), 0);
    assert_int_equal(c.warnings_len, 2);
    assert_string_equal(c.warnings[0], "PERDURA_DB_POL (in the environment) is not a setting and has no effect; "
                                       "did you mean PERDURA_DB_POOL?");
    config_release(&c);

    const struct config_flag unknown[] = {{"db-pol", "4"}, {NULL, NULL}};
    struct error e = {0};
    assert_int_equal(config_load(&c, unknown, NULL, NULL, &e), -EINVAL);
    assert_string_equal(e.text, "there is no setting \"db-pol\"");
    const struct config_flag wrong[] = {{"db-pool", "x"}, {NULL, NULL}};
    assert_int_equal(config_load(&c, wrong, NULL, NULL, &e), -EINVAL);
    assert_non_null(strstr(e.text, "PERDURA_DB_POOL: \"x\" (from the command line) is not a number"));
}

static void finds_settings(void **state)
{
    (void)state;
    assert_int_equal(config_find("PERDURA_DB_POOL"), CONFIG_ID_db_pool);
    assert_int_equal(config_find("db-pool"), CONFIG_ID_db_pool);
    assert_int_equal(config_find("log-level"), CONFIG_ID_log_level);
    assert_int_equal(config_find("SCALINGO_POSTGRESQL_URL"), CONFIG_ID_database_url);
    assert_int_equal(config_find("database-url"), CONFIG_ID_database_url);
    assert_int_equal(config_find("db_pool"), -ENOENT);
    assert_int_equal(config_find("DB_POOL"), -ENOENT);
    assert_int_equal(config_find("perdura-db-pool"), -ENOENT);
    assert_int_equal(config_find("db-poo"), -ENOENT);
    assert_int_equal(config_find("db-pool-"), -ENOENT);
    assert_int_equal(config_find(""), -ENOENT);
}

static void builds_collections(void **state)
{
    (void)state;
    char *env[] = {"PERDURA_COLLECTIONS=, avatars=./public/avatars/@/avatars/,  scans=/srv/@scope/@/x@/s-c_9 ,raw=r=1,",
                   "PERDURA_MEDIA_ROOT=/srv/media/", "PERDURA_MEDIA_URL=/m", NULL};
    static const struct config_collection expected[] = {
        {"media", "/srv/media", "/m"},
        {"avatars", "./public/avatars", "/avatars"},
        {"scans", "/srv/@scope/@/x", "/s-c_9"},
        {"raw", "r=1", NULL},
    };
    struct config c;
    assert_int_equal(config_load(&c, NULL, env, NULL, NULL), 0);
    assert_int_equal(c.collections_len, LEN(expected));
    for (size_t i = 0; i < LEN(expected); i++) {
        const struct config_collection *found = config_collection(&c, expected[i].name);
        assert_ptr_equal(found, &c.collections[i]);
        assert_string_equal(found->root, expected[i].root);
        if (expected[i].url)
            assert_string_equal(found->url, expected[i].url);
        else
            assert_null(found->url);
    }
    assert_null(config_collection(&c, "other"));
    config_release(&c);
}

static const struct {
    const char *text, *shown;
} conninfos[] = {
    {"postgres://u:hush@h:5432/db?sslmode=require", "postgres://u:***@h:5432/db?sslmode=require"},
    {"postgresql://h1:1,[::1]:2,h3/db", "postgresql://h1:1,[::1]:2,h3/db"},
    {"postgresql:///db?host=/run/pg&port=5433", "postgresql:///db?host=/run/pg&port=5433"},
    {"postgresql://", "postgresql://"},
    {"postgresql://u@h", "postgresql://u@h"},
    {"postgresql://:hush@h", "postgresql://:***@h"},
    {"postgresql://u:hu@sh@h/db", "postgresql://u:***@h/db"},
    {"postgresql://u:1/hush@h/db", "postgresql://u:***@h/db"},
    {"postgresql://u:hu?sh@h/db", "postgresql://u:***"},
    {"postgresql://h:1/db?password=a@hush", "postgresql://h:***"},
    {"postgresql://h/db?user=u&password=hush&host=x", "postgresql://h/db?user=u&password=***&host=x"},
    {"postgresql://h/db?pass%77ord=hush", "postgresql://h/db?***"},
    {"postgresql://h/db?password=hu&sh=hush", "postgresql://h/db?password=***&***"},
    {"postgresql://h/db?password=a:b@hush", "postgresql://h/db?password=***"},
    {"host=h password=hush dbname=db", "host=h password=*** dbname=db"},
    {"host = h  password = 'hu sh\\'hush' user=u", "host = h password=*** user=u"},
    {"password=hu\\ sh host=h", "password=*** host=h"},
    {"sslpassword=hush passfile=/x host=h", "sslpassword=*** *** host=h"},
    {"host=h password=hush\n", "host=h password=***"},
};

static void hides_passwords(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(conninfos); i++) {
        struct config c;
        struct error e = {0};
        struct buf out;
        if (load_env(&c, "DATABASE_URL", conninfos[i].text, &e) < 0)
            fail_msg("%s: %s", conninfos[i].text, e.text);
        assert_string_equal(entry_of(&c, "DATABASE_URL").value, conninfos[i].shown);
        buf_init(&out, 65536);
        assert_int_equal(config_print(&c, &out), 0);
        assert_null(strstr(out.data, "hush"));
        buf_release(&out);
        config_release(&c);
    }
}

static void does_not_tell_wrong_secrets(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "hush",
        "mysql://u:hush@h/db",
        "postgres://u:hu/hush@h/db",
        "postgres://u:hush",
        "host=h hush",
        "host=h password='hush",
        "Password=hush",
        "postgres://u:12\nhush@h/db",
        "=hush",
        "host=h,password=hush =",
        "postgres://u:#hush/x",
        " = hush",
    };
    for (size_t i = 0; i < LEN(texts); i++) {
        struct config c;
        struct error e = {0};
        assert_int_equal(load_env(&c, "PERDURA_DATABASE_URL", texts[i], &e), -EINVAL);
        assert_null(strstr(e.text, "hush"));
        assert_non_null(strstr(e.text, "PERDURA_DATABASE_URL: the value (from the environment) "));
        assert_non_null(strstr(e.text, "accepted: "));

        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(conninfo_mask(texts[i], &out), 0);
        buf_release(&out);
    }
}

static void shows_the_longest_values(void **state)
{
    (void)state;
    static char text[VALUE_MAX + 2] = "postgresql://h/?";
    struct config c;
    struct error e = {0};
    memset(text + 16, '&', VALUE_MAX - 16);
    assert_int_equal(load_env(&c, "DATABASE_URL", text, &e), 0);
    config_release(&c);
    text[VALUE_MAX] = '&';
    assert_int_equal(load_env(&c, "DATABASE_URL", text, &e), -EINVAL);
    assert_non_null(strstr(e.text, "is too long"));

    memset(text, 'x', 4096);
    text[4096] = '\0';
    assert_int_equal(load_env(&c, "PERDURA_MEDIA_ROOT", text, &e), -EINVAL);
    assert_non_null(strstr(e.text, "xxx...\" (from the environment) is too long; accepted: "));
}

static void prints_what_loads_again(void **state)
{
    (void)state;
    char *env[] = {"PERDURA_DB_POOL=9", "PERDURA_MEDIA_ROOT=/srv/my \"images\" #$1", "PERDURA_COLLECTIONS=a=x b=y@/y",
                   "LOG_LEVEL=debug", NULL};
    char path[256];
    struct config first, second;
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(config_load(&first, NULL, env, NULL, NULL), 0);
    assert_int_equal(config_print(&first, &out), 0);
    make_file(path, sizeof path, out.data);
    assert_int_equal(config_load(&second, NULL, NULL, path, NULL), 0);
    for (size_t i = 0; i < CONFIG_LEN; i++) {
        const char *a = first.origins[i].shown, *b = second.origins[i].shown;
        assert_true(a == b || strcmp(a, b) == 0);
    }
    assert_string_equal(second.media_root, first.media_root);
    config_release(&first);
    config_release(&second);
    buf_release(&out);
    unlink(path);
}

/* A line of settings.def that contradicts itself would only show when its help is read. */
static void has_a_sound_table(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(config_print_markdown(&out), 0);
    for (size_t i = 0; i < CONFIG_LEN; i++) {
        const struct setting *s = &settings[i];
        assert_non_null(strstr(out.data, s->name));
        assert_non_null(strstr(out.data, s->help));
        assert_null(strchr(s->help, '|'));
        int has_words = s->type.kind == VALUE_ENUM || s->type.kind == VALUE_WORDS;
        assert_int_equal(has_words, *s->type.words != '\0');
        assert_true(s->type.min <= s->type.max);
        assert_true(s->type.kind == VALUE_BYTES || s->type.max <= INT_MAX);
        if (!s->fallback)
            continue;

        struct value v;
        struct buf again;
        buf_init(&again, 1000);
        assert_int_equal(value_parse(&s->type, s->fallback, &v, NULL), 0);
        assert_int_equal(value_print(&s->type, &v, &again), 0);
        assert_string_equal(again.data, s->fallback);
        value_release(&v);
        buf_release(&again);
    }
    struct config_entry entry;
    assert_false(config_entry(&(struct config){0}, CONFIG_LEN, &entry));

    struct buf small;
    buf_init(&small, 100);
    assert_int_equal(config_print_markdown(&small), -EMSGSIZE);
    buf_release(&small);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(reads_and_shows_values),
        cmocka_unit_test(refuses_wrong_values),
        cmocka_unit_test(reads_lists),
        cmocka_unit_test(takes_flag_then_environment_then_file),
        cmocka_unit_test(takes_the_first_name_that_is_set),
        cmocka_unit_test(knows_misspelt_names),
        cmocka_unit_test(finds_settings),
        cmocka_unit_test(builds_collections),
        cmocka_unit_test(hides_passwords),
        cmocka_unit_test(does_not_tell_wrong_secrets),
        cmocka_unit_test(shows_the_longest_values),
        cmocka_unit_test(prints_what_loads_again),
        cmocka_unit_test(has_a_sound_table),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
