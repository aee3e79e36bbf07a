#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/sniff.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *text;
    int width;
    int height;
} SVG[] = {
    /* What may stand before the root element. */
    {"<svg/>", 0, 0},
    {"<svg>", 0, 0},
    {"<svg\n", 0, 0},
    {"\xEF\xBB\xBF<svg width='64' height='48'>", 64, 48},
    {" \r\n\t<svg width='64' height='48'>", 64, 48},
    {"<?xml version='1.0'?><?xml-stylesheet href='a>b'?><svg width='64' height='48'>", 64, 48},
    {"<!-- <html> - -- > --><svg width='64' height='48'>", 64, 48},
    {"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'http://www.w3.org/x>y.dtd'><svg width='64' height='48'>", 64, 48},
    {"<!DOCTYPE svg [<!ENTITY a \"]>'\"><!-- it's ]> --><?p ]> ?>]><svg width='64' height='48'>", 64, 48},
    {"<s:svg xmlns:s='http://www.w3.org/2000/svg' width='64' height='48'>", 64, 48},
    /* Sizes. */
    {"<svg height = \"48px\" id='a>b' width =\n\"64px\">", 64, 48},
    {"<svg width=' 64 ' height='4.8e1'>", 64, 48},
    {"<svg width='+64.4' height='47.5'>", 64, 48},
    {"<svg width='640E-1px' height='0048'>", 64, 48},
    {"<svg width='64' height='48' viewBox='0 0 8 8'>", 64, 48},
    {"<svg width='100%' height='100%' viewBox='0 0 64 48'>", 64, 48},
    {"<svg width='17mm' height='48' viewBox='-5.5,-1e1 , 64\t48'>", 64, 48},
    {"<svg width='64em' height='48em'>", 0, 0},
    {"<svg viewBox='.5.5 64 48'>", 64, 48},
    {"<svg viewBox='0 0 64'>", 0, 0},
    {"<svg viewBox='0 0 -64 48'>", 0, 0},
    {"<svg viewBox='0,,0 64 48'>", 0, 0},
    {"<svg width='64' height=''>", 0, 0},
    {"<svg width='0' height='48'>", 0, 0},
    {"<svg width='-64' height='48'>", 0, 0},
    {"<svg width='2147483646' height='1'>", 2147483646, 1},
    {"<svg width='2147483647' height='1'>", 0, 0},
    {"<svg width='1e999999999999' height='48'>", 0, 0},
    {"<svg width='1e-999999999999' height='48'>", 0, 0},
    {"<svg width='64' height='48px;'>", 0, 0},
    {"<svg x:width='64' data-height='48'>", 0, 0},
    {"<svg><rect width='64' height='48'/></svg>", 0, 0},
    {"<svg width='64' height='48", 0, 0},
    {"<svg width=64 height=48>", 0, 0},
};

static const char *const OTHER[] = {
    " ",
    "<",
    "<svg",
    "<svgs width='64' height='48'>",
    "<SVG width='64' height='48'>",
    "<s:g width='64'>",
    "<svg:g>",
    "<:svg:svg>",
    "svg",
    "text <svg width='64' height='48'>",
    "<html><svg width='64' height='48'></svg></html>",
    "<!DOCTYPE html><html><body><svg width='64' height='48'>",
    "<?xml version='1.0'?><rss version='2.0'><svg/></rss>",
    "<!-- <svg width='64' height='48'>",
    "<? <svg width='64' height='48'>",
    "<!DOCTYPE svg [ > <svg width='64' height='48'>",
    "<!DOCTYPE svg ' > <svg width='64' height='48'>",
    "\xEF\xBB<svg>",
};

/* Sniffs a copy of exactly n bytes without a NUL, so that a sanitizer sees a read beyond them. */
static struct sniff sniff_copy(const char *text, size_t n)
{
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    struct sniff s = sniff(copy, n);
    free(copy);
    return s;
}

static void test_svg(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SVG); i++) {
        struct sniff s = sniff_copy(SVG[i].text, strlen(SVG[i].text));
        if (s.kind != SNIFF_SVG || s.width != SVG[i].width || s.height != SVG[i].height)
            fail_msg("%s: kind %d, %d x %d", SVG[i].text, (int)s.kind, s.width, s.height);
    }
}

static void test_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(OTHER); i++) {
        if (sniff_copy(OTHER[i], strlen(OTHER[i])).kind != SNIFF_NONE)
            fail_msg("taken for an image: %s", OTHER[i]);
    }
}

static void test_cut_at_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SVG); i++) {
        for (size_t n = 0; n < strlen(SVG[i].text); n++) {
            struct sniff s = sniff_copy(SVG[i].text, n);
            assert_true(s.kind == SNIFF_NONE || s.kind == SNIFF_SVG);
            assert_int_equal(!s.width, !s.height);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svg),
        cmocka_unit_test(test_other),
        cmocka_unit_test(test_cut_at_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
