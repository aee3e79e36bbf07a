#include "api/arguments.h"

#include <string.h>

static int is_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) > 0;
}

static int is_within(const json_t *value, json_int_t last)
{
    return json_is_integer(value) && json_integer_value(value) >= 1 && json_integer_value(value) <= last;
}

static int is_paths(const json_t *value)
{
    const json_t *path;
    size_t i;
    if (!json_is_array(value) || !json_array_size(value))
        return 0;
    json_array_foreach(value, i, path)
    {
        if (!is_text(path))
            return 0;
    }
    return 1;
}

static int is_ids(const json_t *value)
{
    const json_t *id;
    size_t i;
    if (!json_is_array(value) || !json_array_size(value) || json_array_size(value) > HTTP_ARGUMENT_IDS_MAX)
        return 0;
    json_array_foreach(value, i, id)
    {
        if (!is_within(id, INT64_MAX))
            return 0;
    }
    return 1;
}

/* NULL, or what it has to be. */
static const char *wrong(const json_t *value, enum http_argument_kind kind)
{
    switch (kind) {
    case HTTP_ARGUMENT_FLAG:
        return json_is_boolean(value) ? NULL : "true or false";
    case HTTP_ARGUMENT_DAYS:
        return is_within(value, 36500) ? NULL : "a number from 1 to 36500";
    case HTTP_ARGUMENT_COUNT:
        return is_within(value, 1000000) ? NULL : "a number from 1 to 1000000";
    case HTTP_ARGUMENT_TEXT:
        return is_text(value) ? NULL : "a text";
    case HTTP_ARGUMENT_NAME:
        return is_text(value) || json_is_null(value) ? NULL : "a text or null";
    case HTTP_ARGUMENT_IDS:
        return is_ids(value) ? NULL : "a list of up to 1000 numbers of images";
    case HTTP_ARGUMENT_OBJECT:
        return json_is_object(value) ? NULL : "an object";
    case HTTP_ARGUMENT_PATHS:
        return is_paths(value) ? NULL : "a list of paths";
    }
    return "left out";
}

static int check(struct http_transaction *x, const json_t *arguments, const struct http_argument *known)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)arguments, name, value)
    {
        const struct http_argument *one = known;
        while (one->name && strcmp(one->name, name) != 0)
            one++;
        const char *what = one->name ? wrong(value, one->kind) : "left out: it is unknown here";
        if (what) {
            http_answer_problem(x, 400, "\"%.40s\" has to be %s", name, what);
            return 0;
        }
    }
    return 1;
}

json_t *http_arguments(struct http_transaction *x, const struct http_argument *known)
{
    json_error_t where;
    if (!x->body.len)
        return json_object();
    json_t *arguments = json_loadb(x->body.data, x->body.len, JSON_REJECT_DUPLICATES, &where);
    if (!arguments)
        http_answer_problem(x, 400, "the body is no JSON object: %s", where.text);
    else if (!json_is_object(arguments))
        http_answer_problem(x, 400, "the body is no JSON object");
    else if (check(x, arguments, known))
        return arguments;
    json_decref(arguments);
    return NULL;
}

const char *http_argument_text(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}
