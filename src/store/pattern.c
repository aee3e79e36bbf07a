#include "store/pattern.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define BY_PATH "image:path:"

int pattern_means_copy(const struct image_key *key, const char *pattern)
{
    char name[sizeof BY_PATH + IMAGE_NAME_SIZE];
    (void)snprintf(name, sizeof name, BY_PATH "%s:%s", key->collection, key->path);
    return fnmatch(pattern, name, 0) == 0;
}

int pattern_means(const struct image_key *key, const char *pattern)
{
    return strncmp(pattern, BY_PATH, strlen(BY_PATH)) != 0 || pattern_means_copy(key, pattern);
}

int pattern_means_name(const char *name, const char *pattern)
{
    struct image_key key = image_key_named(name);
    return pattern_means(&key, pattern);
}
