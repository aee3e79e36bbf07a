#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <magic.h>

#include "codec/sniff.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(s)      s, sizeof(s) - 1

/* Parts that several samples share. Sizes are 64 x 48 wherever the format lets them be. */
#define ZEROS_8     "\0\0\0\0\0\0\0\0"
#define ZEROS_24    ZEROS_8 ZEROS_8 ZEROS_8
#define JPEG_APP0   "\xFF\xE0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
#define JPEG_SOF(n) "\xFF" n "\x00\x11\x08\x00\x30\x00\x40\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
#define PNG_MAGIC   "\x89PNG\r\n\x1A\n"
#define PNG_IHDR    "\0\0\0\x0DIHDR"
#define PNG_REST    "\x08\x02\0\0\0\x12\x34\x56\x78"
#define RIFF        "RIFF\x40\0\0\0WEBP"
#define BMP_FILE    "BM\x66\0\0\0\0\0\0\0\x36\0\0\0"
#define ISPE(w, h)  "\0\0\0\x14ispe\0\0\0\0" w h
#define FTYP(major)                                                                                                    \
    "\0\0\0\x18"                                                                                                       \
    "ftyp" major "\0\0\0\0"
#define PITM "\0\0\0\x0Epitm\0\0\0\0\0\x01"
#define IPMA                                                                                                           \
    "\0\0\0\x18ipma\0\0\0\0\0\0\0\x02"                                                                                 \
    "\0\x02\x01\x01"                                                                                                   \
    "\0\x01\x01\x82"
#define W64   "\0\0\0\x40"
#define H48   "\0\0\0\x30"
#define LARGE ISPE("\0\0\x02\x80", "\0\0\x01\xE0") /* 640 x 480 */
#define TINY  ISPE("\0\0\0\x08", "\0\0\0\x08")
/* The primary item is number 1 and has the second property. */
#define META(first) "\0\0\0\x6Ameta\0\0\0\0" PITM "\0\0\0\x50iprp\0\0\0\x30ipco" first ISPE(W64, H48) IPMA
#define ICON_16     "\x10\x10\0\0\x01\0\x20\0\x28\0\0\0\x26\0\0\0"
#define ICON_256    "\0\0\0\0\x01\0\x20\0\x40\0\0\0\x4E\0\0\0"
#define ICON_BITMAP "\x28\0\0\0\x10\0\0\0\x20\0\0\0\x01\0\x20\0" ZEROS_24
#define SVG_XMLNS   "xmlns=\"http://www.w3.org/2000/svg\" "

struct sample {
    const char *what;
    const char *bytes;
    size_t n;
    enum sniff_kind kind;
    int width;
    int height;
};

/* Good headers, which libmagic knows as well. */
static const struct sample GOOD[] = {
    {"JPEG", TEXT("\xFF\xD8" JPEG_APP0 JPEG_SOF("\xC0")), SNIFF_JPEG, 64, 48},
    {"PNG", TEXT(PNG_MAGIC PNG_IHDR W64 H48 PNG_REST), SNIFF_PNG, 64, 48},
    {"GIF87a", TEXT("GIF87a\x40\0\x30\0\x80\0\0"), SNIFF_GIF, 64, 48},
    {"GIF89a", TEXT("GIF89a\x40\0\x30\0\x80\0\0"), SNIFF_GIF, 64, 48},
    {"WebP, VP8", TEXT(RIFF "VP8 \x30\0\0\0\x30\x01\0\x9D\x01\x2A\x40\0\x30\0"), SNIFF_WEBP, 64, 48},
    {"WebP, VP8L", TEXT(RIFF "VP8L\x30\0\0\0\x2F\x3F\xC0\x0B\0"), SNIFF_WEBP, 64, 48},
    {"WebP, VP8X", TEXT(RIFF "VP8X\x0A\0\0\0\x10\0\0\0\x3F\0\0\x2F\0\0"), SNIFF_WEBP, 64, 48},
    {"AVIF", TEXT(FTYP("avif") "mif1miaf" META(TINY)), SNIFF_AVIF, 64, 48},
    {"HEIC", TEXT(FTYP("heic") "mif1heic" META(TINY)), SNIFF_HEIC, 64, 48},
    {"BMP", TEXT(BMP_FILE "\x28\0\0\0\x40\0\0\0\x30\0\0\0\x01\0\x18\0" ZEROS_24), SNIFF_BMP, 64, 48},
    {"BMP of OS/2", TEXT(BMP_FILE "\x0C\0\0\0\x40\0\x30\0\x01\0\x18\0"), SNIFF_BMP, 64, 48},
    {"TIFF, little-endian",
     TEXT("II*\0\x08\0\0\0\x02\0"
          "\0\x01\x03\0\x01\0\0\0\x40\0\0\0"
          "\x01\x01\x04\0\x01\0\0\0\x30\0\0\0"
          "\0\0\0\0"),
     SNIFF_TIFF, 64, 48},
    {"TIFF, big-endian",
     TEXT("MM\0*\0\0\0\x08\0\x02"
          "\x01\0\0\x03\0\0\0\x01\0\x40\0\0"
          "\x01\x01\0\x04\0\0\0\x01\0\0\0\x30"
          "\0\0\0\0"),
     SNIFF_TIFF, 64, 48},
    {"BigTIFF, little-endian",
     TEXT("II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"
          "\0\x01\x03\0\x01\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0"
          "\x01\x01\x10\0\x01\0\0\0\0\0\0\0\x30\0\0\0\0\0\0\0"),
     SNIFF_TIFF, 64, 48},
    {"BigTIFF, big-endian",
     TEXT("MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x02"
          "\x01\0\0\x03\0\0\0\0\0\0\0\x01\0\x40\0\0\0\0\0\0"
          "\x01\x01\0\x04\0\0\0\0\0\0\0\x01\0\0\0\x30\0\0\0\0"),
     SNIFF_TIFF, 64, 48},
    {"ICO", TEXT("\0\0\x01\0\x02\0" ICON_16 ICON_256 ICON_BITMAP PNG_MAGIC), SNIFF_ICO, 256, 256},
    {"SVG", TEXT("<?xml version=\"1.0\"?>\n<svg " SVG_XMLNS "width='64' height='48'/>"), SNIFF_SVG, 64, 48},
};

/* Unusual, damaged and hostile ones. */
static const struct sample ODD[] = {
    {"JPEG, three bytes", TEXT("\xFF\xD8\xFF"), SNIFF_JPEG, 0, 0},
    {"JPEG, progressive, fill bytes", TEXT("\xFF\xD8\xFF\xFF\xFF" JPEG_SOF("\xC2")), SNIFF_JPEG, 64, 48},
    {"JPEG, DHT and DAC are no frames",
     TEXT("\xFF\xD8\xFF\xC4\0\x09\0\0\x07\0\x09\0\0\xFF\xCC\0\x09\0\0\x07\0\x09\0\0" JPEG_SOF("\xC1")), SNIFF_JPEG, 64,
     48},
    {"JPEG, thumbnail inside of a segment",
     TEXT("\xFF\xD8\xFF\xE1\0\x0D\xFF\xC0\0\x11\x08\0\x08\0\x08\x03\x01" JPEG_SOF("\xC0")), SNIFF_JPEG, 64, 48},
    {"JPEG, bytes between segments",
     TEXT("\xFF\xD8\xFF\xFE\0\x02"
          "junk" JPEG_SOF("\xC0")),
     SNIFF_JPEG, 64, 48},
    {"JPEG, markers without a length", TEXT("\xFF\xD8\xFF\x01\xFF\xD7" JPEG_SOF("\xC0")), SNIFF_JPEG, 64, 48},
    {"JPEG, segment of length 0", TEXT("\xFF\xD8\xFF\xE0\0\0" JPEG_SOF("\xC0")), SNIFF_JPEG, 0, 0},
    {"JPEG, segment of length 1", TEXT("\xFF\xD8\xFF\xE0\0\x01" JPEG_SOF("\xC0")), SNIFF_JPEG, 0, 0},
    {"JPEG, segment beyond the end", TEXT("\xFF\xD8\xFF\xE0\xFF\xFF" JPEG_SOF("\xC0")), SNIFF_JPEG, 0, 0},
    {"JPEG, scan before the frame", TEXT("\xFF\xD8\xFF\xDA\0\x02" JPEG_SOF("\xC0")), SNIFF_JPEG, 0, 0},
    {"JPEG, height told later", TEXT("\xFF\xD8\xFF\xC0\0\x11\x08\0\0\0\x40\x03"), SNIFF_JPEG, 0, 0},
    {"PNG, other first chunk", TEXT(PNG_MAGIC "\0\0\0\x0DtEXt" W64 H48), SNIFF_PNG, 0, 0},
    {"PNG, no width", TEXT(PNG_MAGIC PNG_IHDR "\0\0\0\0" H48), SNIFF_PNG, 0, 0},
    {"PNG, largest width", TEXT(PNG_MAGIC PNG_IHDR "\x7F\xFF\xFF\xFF" H48), SNIFF_PNG, INT_MAX, 48},
    {"PNG, width above the limit", TEXT(PNG_MAGIC PNG_IHDR "\x80\0\0\0" H48), SNIFF_PNG, 0, 0},
    {"WebP, no start code", TEXT(RIFF "VP8 \x30\0\0\0\x30\x01\0\x9D\x01\x2B\x40\0\x30\0"), SNIFF_WEBP, 0, 0},
    {"WebP, scaling bits", TEXT(RIFF "VP8 \x30\0\0\0\x30\x01\0\x9D\x01\x2A\x40\xC0\x30\x40"), SNIFF_WEBP, 64, 48},
    {"WebP, unknown chunk", TEXT(RIFF "VP9 \x0A\0\0\0" ZEROS_24), SNIFF_WEBP, 0, 0},
    {"WebP, largest", TEXT(RIFF "VP8X\x0A\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF"), SNIFF_WEBP, 1 << 24, 1 << 24},
    {"AVIF, primary is not the largest", TEXT(FTYP("avif") "mif1miaf" META(LARGE)), SNIFF_AVIF, 64, 48},
    {"AVIF, primary has no size",
     TEXT(FTYP("avif") "mif1miaf\0\0\0\x42meta\0\0\0\0" PITM "\0\0\0\x28iprp\0\0\0\x20ipco\0\0\0\x04" ZEROS_24),
     SNIFF_AVIF, 0, 0},
    {"AVIF, nothing says which is primary",
     TEXT(FTYP("avif") "mif1miaf\0\0\0\x44meta\0\0\0\0\0\0\0\x38iprp\0\0\0\x30ipco" LARGE ISPE(W64, H48)), SNIFF_AVIF,
     640, 480},
    {"AVIF, 64-bit box size, image data first",
     TEXT(FTYP("avif") "mif1miaf\0\0\0\x01mdat\0\0\0\0\0\0\0\x14"
                       "data" META(LARGE)),
     SNIFF_AVIF, 64, 48},
    {"AVIF, box size that would lead back to the first",
     TEXT(FTYP("avif") "mif1miaf\0\0\0\x01mdat\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xE8" META(LARGE)), SNIFF_AVIF, 0, 0},
    {"AVIF, endless list of associations",
     TEXT(FTYP("avif") "mif1miaf\0\0\0\0meta\0\0\0\0" PITM
                       "\0\0\0\x50iprp\0\0\0\x30ipco" LARGE ISPE(W64, H48) "\0\0\0\x18ipma\0\0\0\0\xFF\xFF\xFF\xFF"
                                                                           "\0\x02\xFF\x01"
                                                                           "\0\x01\xFF\x82"),
     SNIFF_AVIF, 640, 480},
    {"HEIC, brand behind mif1, wide ids",
     TEXT(FTYP(
         "mif1") "mif1heic\0\0\0\x6Bmeta\0\0\0\0\0\0\0\x10pitm\x01\0\0\0\0\0\0\x07\0\0\0\x4Fiprp\0\0\0\x30ipco" LARGE
              ISPE(W64, H48) "\0\0\0\x17ipma\x01\0\0\x01\0\0\0\x01\0\0\0\x07\x01\x80\x02"),
     SNIFF_HEIC, 64, 48},
    {"HEIF of an unknown codec", TEXT(FTYP("mif1") "mif1miaf" META(LARGE)), SNIFF_NONE, 0, 0},
    {"HEIF, version that reads like a brand",
     TEXT("\0\0\0\x18"
          "ftypmif1avifmif1miaf"),
     SNIFF_NONE, 0, 0},
    {"MP4", TEXT(FTYP("isom") "mp42avc1" META(LARGE)), SNIFF_NONE, 0, 0},
    {"ftyp of size 7",
     TEXT("\0\0\0\x07"
          "ftypavif\0\0\0\0mif1miaf"),
     SNIFF_NONE, 0, 0},
    {"BMP, top row first", TEXT(BMP_FILE "\x28\0\0\0\x40\0\0\0\xD0\xFF\xFF\xFF\x01\0\x18\0"), SNIFF_BMP, 64, 48},
    {"BMP, lowest height", TEXT(BMP_FILE "\x28\0\0\0\x40\0\0\0\0\0\0\x80\x01\0\x18\0"), SNIFF_BMP, 0, 0},
    {"BMP, negative width", TEXT(BMP_FILE "\x28\0\0\0\xC0\xFF\xFF\xFF\x30\0\0\0\x01\0\x18\0"), SNIFF_BMP, 0, 0},
    {"BMP, no planes", TEXT(BMP_FILE "\x28\0\0\0\x40\0\0\0\x30\0\0\0\0\0\x18\0"), SNIFF_NONE, 0, 0},
    {"BMP, 23 bits per pixel", TEXT(BMP_FILE "\x28\0\0\0\x40\0\0\0\x30\0\0\0\x01\0\x17\0"), SNIFF_NONE, 0, 0},
    {"TIFF, directory beyond the end", TEXT("II*\0\xFF\xFF\xFF\xFF"), SNIFF_TIFF, 0, 0},
    {"TIFF, directory longer than the file",
     TEXT("MM\0*\0\0\0\x08\xFF\xFF"
          "\x01\0\0\x03\0\0\0\x01\0\x40\0\0"
          "\x01\x01\0\x03"),
     SNIFF_TIFF, 0, 0},
    {"TIFF, width of type ASCII",
     TEXT("MM\0*\0\0\0\x08\0\x02"
          "\x01\0\0\x02\0\0\0\x01\0\x40\0\0"
          "\x01\x01\0\x03\0\0\0\x01\0\x30\0\0"),
     SNIFF_TIFF, 0, 0},
    {"BigTIFF, directory at 2^64 - 1", TEXT("II+\0\x08\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" ZEROS_24), SNIFF_TIFF, 0,
     0},
    {"BigTIFF, 2^64 - 1 entries", TEXT("II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" ZEROS_24),
     SNIFF_TIFF, 0, 0},
    {"ICO, reserved byte as .NET writes it",
     TEXT("\0\0\x01\0\x01\0\x10\x18\0\xFF\x01\0\x20\0\x28\0\0\0\x16\0\0\0" ICON_BITMAP), SNIFF_ICO, 16, 24},
    {"ICO, no entries", TEXT("\0\0\x01\0\0\0" ICON_16 ICON_BITMAP), SNIFF_NONE, 0, 0},
    {"ICO, more entries than bytes", TEXT("\0\0\x01\0\xFF\xFF" ICON_16 ICON_BITMAP), SNIFF_NONE, 0, 0},
    {"ICO, image inside of the directory",
     TEXT("\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x28\0\0\0\x0E\0\0\0" ICON_BITMAP), SNIFF_NONE, 0, 0},
    {"ICO, image beyond the end",
     TEXT("\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x28\0\0\0\xFF\xFF\xFF\xFF" ICON_BITMAP), SNIFF_NONE, 0, 0},
    {"ICO, image too small", TEXT("\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x27\0\0\0\x16\0\0\0" ICON_BITMAP),
     SNIFF_NONE, 0, 0},
    {"ICO, no image there",
     TEXT("\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x28\0\0\0\x16\0\0\0"
          "not an image"),
     SNIFF_NONE, 0, 0},
    {"a cursor", TEXT("\0\0\x02\0\x01\0\x10\x10\0\0\x01\0\x20\0\x28\0\0\0\x16\0\0\0" ICON_BITMAP), SNIFF_NONE, 0, 0},
    {"nothing", TEXT(""), SNIFF_NONE, 0, 0},
    {"text", TEXT("Beware: this is a text that someone called photo.jpg.\n"), SNIFF_NONE, 0, 0},
    {"text that begins like BMP", TEXT("BM is short for British Museum, where the collection is."), SNIFF_NONE, 0, 0},
    {"JSON", TEXT("{\"jpeg\": \"\xFF\xD8\xFF\"}"), SNIFF_NONE, 0, 0},
    {"two bytes of a JPEG", TEXT("\xFF\xD8"), SNIFF_NONE, 0, 0},
    {"GIF88a", TEXT("GIF88a\x40\0\x30\0\x80\0\0"), SNIFF_NONE, 0, 0},
    {"PNG with its line end changed", TEXT("\x89PNG\n\x1A\n" PNG_IHDR W64 H48 PNG_REST), SNIFF_NONE, 0, 0},
    {"sound", TEXT("RIFF\x40\0\0\0WAVEfmt \x10\0\0\0"), SNIFF_NONE, 0, 0},
    {"WEBP without RIFF", TEXT("RIFX\x40\0\0\0WEBPVP8X\x0A\0\0\0" ZEROS_24), SNIFF_NONE, 0, 0},
    {"PDF", TEXT("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n"), SNIFF_NONE, 0, 0},
    {"ELF",
     TEXT("\x7F"
          "ELF\x02\x01\x01\0" ZEROS_24),
     SNIFF_NONE, 0, 0},
    {"gzip", TEXT("\x1F\x8B\x08\0" ZEROS_24), SNIFF_NONE, 0, 0},
    {"zeros", TEXT(ZEROS_24 ZEROS_24), SNIFF_NONE, 0, 0},
};

/* Sniffs a copy of exactly n bytes, so that a sanitizer sees a read beyond them. */
static struct sniff sniff_copy(const void *bytes, size_t n)
{
    void *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    struct sniff s = sniff(copy, n);
    free(copy);
    return s;
}

static void check_table(const struct sample *table, size_t count)
{
    for (const struct sample *c = table; c < table + count; c++) {
        struct sniff s = sniff_copy(c->bytes, c->n);
        if (s.kind != c->kind || s.width != c->width || s.height != c->height)
            fail_msg("%s: kind %d, %d x %d", c->what, (int)s.kind, s.width, s.height);
    }
}

static void test_good(void **state)
{
    (void)state;
    check_table(GOOD, COUNT(GOOD));
}

static void test_odd(void **state)
{
    (void)state;
    check_table(ODD, COUNT(ODD));
}

static void test_libmagic_agrees(void **state)
{
    (void)state;
    magic_t magic = magic_open(MAGIC_MIME_TYPE);
    assert_non_null(magic);
    assert_int_equal(magic_load(magic, NULL), 0);
    for (size_t i = 0; i < COUNT(GOOD); i++) {
        const char *mime = magic_buffer(magic, GOOD[i].bytes, GOOD[i].n);
        assert_non_null(mime);
        if (strcmp(mime, sniff_mime(GOOD[i].kind)) != 0)
            fail_msg("%s: libmagic says %s", GOOD[i].what, mime);
    }
    magic_close(magic);
}

/* What is cut off makes an image unknown or without a size, never another one, and more bytes never tell less. */
static void test_cut_at_every_length(void **state)
{
    (void)state;
    for (const struct sample *c = GOOD; c < GOOD + COUNT(GOOD); c++) {
        struct sniff before = {.kind = SNIFF_NONE};
        for (size_t n = 0; n <= c->n; n++) {
            struct sniff s = sniff_copy(c->bytes, n);
            if (s.kind != c->kind && (s.kind != SNIFF_NONE || before.kind != SNIFF_NONE))
                fail_msg("%s, %zu bytes: kind %d", c->what, n, (int)s.kind);
            bool full = s.width == c->width && s.height == c->height;
            bool tiny = c->kind >= SNIFF_AVIF && c->kind <= SNIFF_HEIC && s.width == 8 && s.height == 8;
            if (!full && !tiny && (s.width || s.height || before.width))
                fail_msg("%s, %zu bytes: %d x %d", c->what, n, s.width, s.height);
            before = s;
        }
    }
}

/* One wrong byte anywhere: whatever the answer is, it keeps the header's promises. */
static void test_one_byte_changed(void **state)
{
    (void)state;
    for (const struct sample *c = GOOD; c < GOOD + COUNT(GOOD); c++) {
        char bytes[512];
        assert_in_range(c->n, 1, sizeof bytes);
        memcpy(bytes, c->bytes, c->n);
        for (size_t at = 0; at < c->n; at++) {
            for (unsigned value = 0; value < 256; value++) {
                bytes[at] = (char)value;
                struct sniff s = sniff_copy(bytes, c->n);
                assert_in_range(s.kind, SNIFF_NONE, SNIFF_KINDS - 1);
                assert_true(s.width >= 0 && s.height >= 0 && !s.width == !s.height);
                assert_true(s.kind != SNIFF_NONE || !s.width);
            }
            bytes[at] = c->bytes[at];
        }
    }
}

static void test_names_of_kinds(void **state)
{
    (void)state;
    assert_null(sniff_mime(SNIFF_NONE));
    assert_null(sniff_extension(SNIFF_NONE));
    assert_null(sniff_mime(SNIFF_KINDS));
    for (enum sniff_kind kind = SNIFF_NONE + 1; kind < SNIFF_KINDS; kind++) {
        char path[32];
        snprintf(path, sizeof path, "a/b.%s", sniff_extension(kind));
        assert_int_equal(sniff_claimed(path), kind);
        assert_memory_equal(sniff_mime(kind), "image/", 6);
    }
}

static void test_claimed(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum sniff_kind kind;
    } cases[] = {
        {"a.jpg", SNIFF_JPEG},  {"a.JPEG", SNIFF_JPEG},  {"a/b.c/d.JpE", SNIFF_JPEG}, {"a.tar.PNG", SNIFF_PNG},
        {"a.heif", SNIFF_HEIC}, {"a.tif", SNIFF_TIFF},   {".jpg", SNIFF_JPEG},        {"", SNIFF_NONE},
        {"jpg", SNIFF_NONE},    {"a.", SNIFF_NONE},      {"a.jpg/b", SNIFF_NONE},     {"a.jpg.part", SNIFF_NONE},
        {"a.jpg ", SNIFF_NONE}, {"a.jp", SNIFF_NONE},    {"a.jpgg", SNIFF_NONE},      {"a.svgz", SNIFF_NONE},
        {"a.txt", SNIFF_NONE},  {"a.jpg\n", SNIFF_NONE}, {"a.jpg~", SNIFF_NONE},      {"a..gif", SNIFF_GIF},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (sniff_claimed(cases[i].path) != cases[i].kind)
            fail_msg("\"%s\": %d", cases[i].path, (int)sniff_claimed(cases[i].path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_odd),
        cmocka_unit_test(test_libmagic_agrees),
        cmocka_unit_test(test_cut_at_every_length),
        cmocka_unit_test(test_one_byte_changed),
        cmocka_unit_test(test_names_of_kinds),
        cmocka_unit_test(test_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
