#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/collections.h"
#include "config/conninfo.h"
#include "config/dotenv.h"
#include "config/origins.h"
#include "config/redis_settings.h"
#include "config/s3_settings.h"
#include "config/settings.h"
#include "config/sources.h"

static char **text_field(struct config *c, const struct setting *s)
{
    return value_is_text(s->type.kind) ? (char **)((char *)c + s->offset) : NULL;
}

/* The field takes over the text of the value. */
static void store(struct config *c, const struct setting *s, const struct value *v)
{
    void *field = (char *)c + s->offset;
    switch (s->type.kind) {
    case VALUE_TEXT:
    case VALUE_PATH:
    case VALUE_URL_PATH:
    case VALUE_CONNINFO:
    case VALUE_REDIS_URL:
    case VALUE_SHA256:
    case VALUE_TOKENS:
    case VALUE_PASSWORD:
    case VALUE_URL_PATHS:
    case VALUE_ENDPOINT:
    case VALUE_BUCKET:
    case VALUE_HOSTS:
        *(char **)field = v->text;
        break;
    case VALUE_BOOL:
        *(bool *)field = v->number != 0;
        break;
    case VALUE_INTEGER:
    case VALUE_INTEGER_OR_OFF:
    case VALUE_ENUM:
    case VALUE_DAYTIME:
        *(int *)field = (int)v->number;
        break;
    case VALUE_WORDS:
        *(unsigned *)field = (unsigned)v->number;
        break;
    case VALUE_BYTES:
        *(int64_t *)field = v->number;
        break;
    }
}

/* The value as people may see it. */
static int show(const struct setting *s, const struct value *v, char **ret)
{
    struct buf out;
    int r;
    /* The worst case for hiding: each "&" of a query becomes "&***". */
    buf_init(&out, 5 * VALUE_MAX);
    if (!s->secret)
        r = value_print(&s->type, v, &out);
    else if (s->type.kind == VALUE_CONNINFO)
        r = conninfo_mask(v->text, &out);
    else if (s->type.kind == VALUE_REDIS_URL)
        r = redis_url_mask(v->text, &out);
    else
        r = buf_addstr(&out, "***");
    if (r < 0)
        buf_release(&out);
    else
        *ret = out.data;
    return r;
}

/* Other programs have these names as well: what they mean by them in the environment that we share is no mistake. */
static bool is_theirs(int id, const struct given *g)
{
    return g->origin.source == CONFIG_FROM_ENVIRONMENT &&
           (id == CONFIG_ID_cache_driver || id == CONFIG_ID_redis_port || id == CONFIG_ID_redis_url);
}

static int pass_over(struct config *c, const struct sources *from, int id, const struct error *why, struct given *g)
{
    struct error text;
    char *warning;
    (void)sources_refuse(from, id, why, &text);
    int n = settings[id].fallback ? asprintf(&warning, "%s; %s counts", text.text, settings[id].fallback)
                                  : asprintf(&warning, "%s; it is ignored", text.text);
    if (n < 0)
        return -ENOMEM;
    g->text = settings[id].fallback;
    g->origin.source = CONFIG_FROM_DEFAULT;
    return sources_warn(c, warning);
}

static int load_setting(struct config *c, const struct sources *from, int id, struct error *e)
{
    const struct setting *s = &settings[id];
    struct given g = sources_get(from, id);
    if (!g.text) {
        c->origins[id] = g.origin;
        return 0;
    }

    struct value v;
    struct error why;
    int r = value_parse(&s->type, g.text, &v, &why);
    if (r < 0 && is_theirs(id, &g)) {
        if (pass_over(c, from, id, &why, &g) < 0)
            return error_set(e, -ENOMEM, "%s", strerror(ENOMEM));
        if (!g.text) {
            c->origins[id] = g.origin;
            return 0;
        }
        r = value_parse(&s->type, g.text, &v, &why);
    }
    if (r < 0)
        return sources_refuse(from, id, &why, e);
    r = show(s, &v, &g.origin.shown);
    if (r < 0) {
        value_release(&v);
        return error_set(e, r, "%s: %s", s->name, strerror(-r));
    }
    store(c, s, &v);
    c->origins[id] = g.origin;
    return 0;
}

static int load_collections(struct config *c, const struct sources *from, struct error *e)
{
    struct collections list = {0};
    struct error why;
    int r = collections_add(&list, "media", c->media_root, c->media_url, &why);
    if (r < 0) {
        sources_refuse(from, CONFIG_ID_media_url, &why, e);
        return r;
    }
    if (c->collections_list)
        r = collections_parse(&list, c->collections_list, &why);
    c->collections = list.items;
    c->collections_len = list.len;
    if (r < 0)
        sources_refuse(from, CONFIG_ID_collections_list, &why, e);
    return r;
}

static int load_origins(struct config *c, const struct sources *from, struct error *e)
{
    struct origins list = {0};
    struct error why;
    int r = c->origins_list ? origins_parse(&list, c->origins_list, c, &why) : 0;
    c->image_origins = list.items;
    c->image_origins_len = list.len;
    return r < 0 ? sources_refuse(from, CONFIG_ID_origins_list, &why, e) : 0;
}

static int load_warnings(struct config *c, char *const *env)
{
    char *text;
    int r;
    while ((r = sources_warning(&env, &text)) > 0)
        if (sources_warn(c, text) < 0)
            return -ENOMEM;
    return r;
}

static int load_from(struct config *c, const struct sources *from, struct error *e)
{
    if (from->file_name && asprintf(&c->file_source, "file %s", from->file_name) < 0) {
        c->file_source = NULL;
        return error_set(e, -ENOMEM, "%s", strerror(ENOMEM));
    }
    int r = sources_check(from, e);
    for (int id = 0; r == 0 && id < CONFIG_LEN; id++)
        r = load_setting(c, from, id, e);
    if (r == 0)
        r = load_collections(c, from, e);
    if (r == 0)
        r = load_origins(c, from, e);
    if (r == 0)
        r = redis_settings_load(c, from, e);
    if (r == 0)
        r = s3_settings_check(c, from, e);
    if (r == 0) {
        r = load_warnings(c, from->env);
        if (r < 0)
            error_set(e, r, "%s", strerror(-r));
    }
    return r;
}

int config_load(struct config *ret, const struct config_flag *flags, char *const *env, const char *dotenv_path,
                struct error *e)
{
    struct sources from = {.flags = flags, .env = env, .file_name = dotenv_path};
    struct config c = {0};

    int r = dotenv_path ? dotenv_read(dotenv_path, &from.file, e) : 0;
    if (r < 0)
        return r;
    r = load_from(&c, &from, e);
    dotenv_release(&from.file);
    if (r < 0)
        config_release(&c);
    else
        *ret = c;
    return r;
}

void config_release(struct config *c)
{
    struct collections list = {.items = c->collections, .len = c->collections_len};
    collections_release(&list);
    struct origins origins = {.items = c->image_origins, .len = c->image_origins_len};
    origins_release(&origins);
    for (int id = 0; id < CONFIG_LEN; id++) {
        char **text = text_field(c, &settings[id]);
        if (text)
            free(*text);
        free(c->origins[id].shown);
    }
    for (size_t i = 0; i < c->warnings_len; i++)
        free(c->warnings[i]);
    free(c->warnings);
    free(c->file_source);
    *c = (struct config){0};
}

const struct config_collection *config_collection(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->collections_len; i++)
        if (strcmp(c->collections[i].name, name) == 0)
            return &c->collections[i];
    return NULL;
}

const struct image_origin *config_image_origin(const struct config *c, const char *collection)
{
    for (size_t i = 0; i < c->image_origins_len; i++)
        if (strcmp(c->image_origins[i].collection, collection) == 0)
            return &c->image_origins[i];
    return NULL;
}

const char **config_collection_names(const struct config *c, const char *only)
{
    const char **names = calloc(c->collections_len + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; names && i < c->collections_len; i++)
        if (!only || strcmp(only, c->collections[i].name) == 0)
            names[n++] = c->collections[i].name;
    return names;
}
