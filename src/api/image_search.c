#include "api/image_search.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fs/safepath.h"

#define NUMBER_SIZE 24

enum search_kind { TEXT, SIZE, MOMENT, STATE, COLLECTION };

static const struct {
    const char *name;
    enum search_kind kind;
    size_t offset;
} arguments[] = {
    {"collection", COLLECTION, offsetof(struct store_filter, collection)},
    {"q", TEXT, offsetof(struct store_filter, begin)},
    {"content_type", TEXT, offsetof(struct store_filter, content_type)},
    {"object_id", TEXT, offsetof(struct store_filter, object_id)},
    {"mime", TEXT, offsetof(struct store_filter, mime)},
    {"min_size", SIZE, offsetof(struct store_filter, min_size)},
    {"max_size", SIZE, offsetof(struct store_filter, max_size)},
    {"accessed_after", MOMENT, offsetof(struct store_filter, accessed_after_us)},
    {"accessed_before", MOMENT, offsetof(struct store_filter, accessed_before_us)},
    {"created_after", MOMENT, offsetof(struct store_filter, created_after_us)},
    {"created_before", MOMENT, offsetof(struct store_filter, created_before_us)},
    {"state", STATE, offsetof(struct store_filter, state)},
};
#define ARGUMENTS (sizeof arguments / sizeof *arguments)

/* "*" is all of them. */
static int take_collection(const char *text, const char **ret, struct error *e)
{
    if (strlen(text) > IMAGE_COLLECTION_MAX)
        return error_set(e, -EINVAL, "collection has to have at most %d bytes", IMAGE_COLLECTION_MAX);
    *ret = strcmp(text, "*") == 0 ? NULL : text;
    return 0;
}

static int take_size(const char *name, const char *text, int64_t *ret, struct error *e)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno)
        return error_set(e, -EINVAL, "%s has to be a number of bytes", name);
    *ret = n;
    return 0;
}

static int take_state(const char *text, enum store_state *ret, struct error *e)
{
    static const char *const states[] = {[STORE_LIVE] = "live", [STORE_TRASH] = "trash", [STORE_LARGE] = "large"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(text, states[i]) == 0) {
            *ret = (enum store_state)i;
            return 0;
        }
    return error_set(e, -EINVAL, "state has to be live, trash or large");
}

/* One that is not empty. */
static int take(size_t i, const char *text, struct store_filter *ret, struct error *e)
{
    void *place = (char *)ret + arguments[i].offset;
    const char *name = arguments[i].name;
    switch (arguments[i].kind) {
    case COLLECTION:
        return take_collection(text, place, e);
    case SIZE:
        return take_size(name, text, place, e);
    case STATE:
        return take_state(text, place, e);
    case MOMENT:
        return clock_parse_iso(text, place) == 0
                   ? 0
                   : error_set(e, -EINVAL, "%s has to be a time like 2026-11-21T01:18:02Z", name);
    case TEXT:
        break;
    }
    if (strlen(text) > SAFEPATH_MAX)
        return error_set(e, -EINVAL, "%s has to have at most %d bytes", name, SAFEPATH_MAX);
    *(const char **)place = text;
    return 0;
}

static void begin(struct store_filter *ret)
{
    *ret = store_filter_any();
    ret->collection = "media";
}

int image_search_query(const struct url_query *query, struct store_filter *ret, struct error *e)
{
    int r = 0;
    begin(ret);
    for (size_t i = 0; i < ARGUMENTS && r == 0; i++) {
        const char *text = url_query_get(query, arguments[i].name);
        if (text && (*text || arguments[i].kind == STATE))
            r = take(i, text, ret, e);
    }
    return r;
}

int image_search_json(const json_t *object, struct store_filter *ret, struct error *e)
{
    const char *name;
    json_t *value;
    int r = 0;
    begin(ret);
    json_object_foreach((json_t *)object, name, value)
    {
        char number[NUMBER_SIZE];
        const char *text = json_string_value(value);
        size_t i = 0;
        while (i < ARGUMENTS && strcmp(arguments[i].name, name) != 0)
            i++;
        if (i < ARGUMENTS && arguments[i].kind == SIZE && json_is_integer(value)) {
            (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
            text = number;
        }
        if (i == ARGUMENTS)
            return error_set(e, -EINVAL, "\"%.40s\" has to be left out of the filter: it is unknown here", name);
        if (!text || !*text)
            return error_set(e, -EINVAL, "\"%.40s\" has to be a text that is not empty", name);
        r = take(i, text, ret, e);
        if (r < 0)
            return r;
    }
    return 0;
}
