#include "codec/sniff.h"

#include <limits.h>
#include <strings.h>

#include "codec/sniff_formats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define ENDINGS_MAX 4

static const struct kind {
    const char *mime;
    const char *endings[ENDINGS_MAX]; /* the usual one first */
} KINDS[SNIFF_KINDS] = {
    [SNIFF_JPEG] = {"image/jpeg", {"jpg", "jpeg", "jpe", "jfif"}},
    [SNIFF_PNG] = {"image/png", {"png"}},
    [SNIFF_GIF] = {"image/gif", {"gif"}},
    [SNIFF_WEBP] = {"image/webp", {"webp"}},
    [SNIFF_AVIF] = {"image/avif", {"avif"}},
    [SNIFF_HEIC] = {"image/heic", {"heic", "heif"}},
    [SNIFF_BMP] = {"image/bmp", {"bmp", "dib"}},
    [SNIFF_TIFF] = {"image/tiff", {"tiff", "tif"}},
    [SNIFF_ICO] = {"image/vnd.microsoft.icon", {"ico"}},
    [SNIFF_SVG] = {"image/svg+xml", {"svg"}},
};

/* SVG has no magic number: its text can begin in many ways, so it is asked last, about anything. */
static const struct magic {
    size_t offset;
    size_t len;
    const char *bytes;
    struct sniff (*look)(struct span s);
} MAGICS[] = {
    {0, 3, "\xFF\xD8\xFF", sniff_jpeg},
    {0, 8, "\x89PNG\r\n\x1A\n", sniff_png},
    {0, 6, "GIF87a", sniff_gif},
    {0, 6, "GIF89a", sniff_gif},
    {8, 4, "WEBP", sniff_webp},
    {4, 4, "ftyp", sniff_bmff},
    {0, 2, "BM", sniff_bmp},
    {0, 4, "II*\0", sniff_tiff},
    {0, 4, "MM\0*", sniff_tiff},
    {0, 4, "II+\0", sniff_tiff},
    {0, 4, "MM\0+", sniff_tiff},
    {0, 4, "\0\0\1\0", sniff_ico},
    {0, 0, "", sniff_svg},
};

struct sniff sniff(const void *bytes, size_t n)
{
    struct span s = {bytes, n};

    for (size_t i = 0; n && i < COUNT(MAGICS); i++) {
        const struct magic *m = &MAGICS[i];
        if (span_equals(s, m->offset, m->bytes, m->len))
            return m->look(s);
    }
    return (struct sniff){.kind = SNIFF_NONE};
}

struct sniff sniff_sized(enum sniff_kind kind, uint64_t width, uint64_t height)
{
    if (!width || !height || width > INT_MAX || height > INT_MAX)
        return (struct sniff){.kind = kind};
    return (struct sniff){.kind = kind, .width = (int)width, .height = (int)height};
}

static bool is_kind(enum sniff_kind kind)
{
    return (size_t)kind < SNIFF_KINDS;
}

const char *sniff_mime(enum sniff_kind kind)
{
    return is_kind(kind) ? KINDS[kind].mime : NULL;
}

const char *sniff_extension(enum sniff_kind kind)
{
    return is_kind(kind) ? KINDS[kind].endings[0] : NULL;
}

enum sniff_kind sniff_claimed(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (!dot)
        return SNIFF_NONE;

    /* A dot in a folder's name needs no care: no ending holds the slash that would follow it. */
    for (size_t k = 0; k < SNIFF_KINDS; k++) {
        for (size_t e = 0; e < ENDINGS_MAX && KINDS[k].endings[e]; e++) {
            if (strcasecmp(dot + 1, KINDS[k].endings[e]) == 0)
                return (enum sniff_kind)k;
        }
    }
    return SNIFF_NONE;
}
