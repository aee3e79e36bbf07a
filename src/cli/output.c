#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

const char *output_number(char dst[OUTPUT_SIZE], int64_t n)
{
    char digits[OUTPUT_SIZE];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n);
    char *at = dst;
    for (int i = 0; i < len; i++) {
        *at++ = digits[i];
        if (digits[i] != '-' && i + 1 < len && (len - i - 1) % 3 == 0)
            *at++ = ',';
    }
    *at = '\0';
    return dst;
}

const char *output_bytes(char dst[OUTPUT_SIZE], int64_t n)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)n / 1024;
    size_t unit = 0;
    if (n < 1024) {
        snprintf(dst, OUTPUT_SIZE, "%d bytes", (int)n);
        return dst;
    }
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(dst, OUTPUT_SIZE, "%.1f %s", value, units[unit]);
    return dst;
}

void output_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(value);
}

json_t *output_time(int64_t us)
{
    char text[CLOCK_ISO_SIZE];
    return us ? json_string(clock_iso(text, us)) : json_null();
}

json_t *output_image(const struct image_meta *meta)
{
    char sha256[DIGEST_HEX_SIZE];
    digest_hex(sha256, meta->sha256);
    return json_pack(
        "{s:I, s:s, s:s, s:s?, s:s?, s:s?, s:s, s:s?, s:I, s:s, s:i, s:i, s:o, s:I, s:o, s:o, s:o, s:I, s:o}", "id",
        (json_int_t)meta->id, "collection", meta->key.collection, "original_path", meta->key.path, "content_type",
        meta->content_type, "object_id", meta->object_id, "variant", meta->variant, "content_type_header", meta->mime,
        "image_url", meta->url, "file_size", (json_int_t)meta->size, "sha256", sha256, "width", meta->width, "height",
        meta->height, "source_mtime", output_time(meta->mtime_ns / 1000), "source_mtime_ns", (json_int_t)meta->mtime_ns,
        "created_at", output_time(meta->created_us), "updated_at", output_time(meta->updated_us), "last_accessed",
        output_time(meta->accessed_us), "access_count", (json_int_t)meta->access_count, "deleted_at",
        output_time(meta->deleted_us));
}
