#include "api/image_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/url.h"
#include "fs/safepath.h"

int http_image_path(struct http_transaction *x, const char *raw)
{
    struct error why;
    size_t n = strlen(raw), len;
    x->path = malloc(n + 1);
    if (!x->path) {
        http_answer_problem(x, 500, "out of memory");
        return -ENOMEM;
    }
    int r = url_decode_path(x->path, &len, raw, n, &why);
    if (r == 0)
        r = safepath_check(x->path, len, &why);
    if (r < 0) {
        http_answer_problem(x, r == -ENAMETOOLONG ? 414 : 400, "the path %s", why.text);
        return r;
    }
    x->key.path = x->path;
    return 0;
}
