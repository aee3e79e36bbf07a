/* What any server on the way may send: the first byte picks the document. All that is handed on fits where it goes. */
#include <stdint.h>

#include "codec/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds)
        abort();
}

static int see(void *arg, const struct s3_xml_object *object)
{
    int *count = arg;
    must(*object->key && object->size >= 0);
    must(strlen(object->etag) < sizeof object->etag);
    return ++*count > 1000 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct s3_xml_error e;
    char id[S3_XML_UPLOAD_ID_SIZE], next[S3_XML_TOKEN_SIZE];
    int count = 0;
    if (!size)
        return 0;
    /* A copy of its exact size, for the address sanitizer to watch. */
    char *xml = malloc(size > 1 ? size - 1 : 1);
    must(xml != NULL);
    memcpy(xml, data + 1, size - 1);
    if (data[0] % 3 == 0 && s3_xml_error(xml, size - 1, &e) == 0)
        must(*e.code && strlen(e.code) < sizeof e.code && strlen(e.message) < sizeof e.message &&
             strlen(e.region) < sizeof e.region);
    if (data[0] % 3 == 1 && s3_xml_upload_id(xml, size - 1, id) == 0)
        must(*id && strlen(id) < sizeof id);
    if (data[0] % 3 == 2 && s3_xml_list(xml, size - 1, see, &count, next) == 0)
        must(strlen(next) < sizeof next);
    free(xml);
    return 0;
}
