#include "api/image_json.h"

#include <string.h>

#include "api/describe.h"
#include "base/buf.h"
#include "codec/url.h"
#include "config/config.h"
#include "fs/safepath.h"

#define URL_MAX_BYTES (4 * SAFEPATH_MAX + 1024) /* beside the collection's */

/* Of no folder here, of one without a URL, or in the trash: nowhere. Neither is one whose path can't be asked for. */
static json_t *served_at(const struct config *config, const struct image_meta *meta)
{
    const struct config_collection *collection = config_collection(config, meta->key.collection);
    size_t n = strlen(meta->key.path);
    struct buf url;
    if (!collection || !collection->url || meta->deleted_us || safepath_check(meta->key.path, n, NULL) < 0)
        return json_null();
    buf_init(&url, strlen(collection->url) + URL_MAX_BYTES);
    int r = buf_addf(&url, "%s/", collection->url);
    if (r == 0)
        r = url_encode_path(&url, meta->key.path, n);
    json_t *text = r == 0 ? json_string(url.data) : NULL;
    buf_release(&url);
    return text;
}

json_t *image_json(const struct config *config, const struct image_meta *meta)
{
    json_t *image = describe_image(meta);
    json_object_set_new(image, "url", served_at(config, meta));
    return image;
}
