#include <limits.h>

#include "codec/sniff_formats.h"

/* SVG: W3C SVG 2, section 8 (svg element); what may stand before the root element is XML 1.0, section 2.8. Only enough
 * XML is read to find the root element and three of its attributes, in UTF-8 or another ASCII-like encoding. */

struct svg_cursor {
    struct span s;
    size_t at;
};

static int peek(const struct svg_cursor *c)
{
    return c->at < c->s.n ? c->s.p[c->at] : -1;
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct svg_cursor *c)
{
    while (is_space(peek(c)))
        c->at++;
}

static bool accept(struct svg_cursor *c, const char *text)
{
    size_t len = strlen(text);
    if (!span_equals(c->s, c->at, text, len))
        return false;
    c->at += len;
    return true;
}

/* Moves behind the next `text`, or to the end. */
static void skip_behind(struct svg_cursor *c, const char *text)
{
    struct span rest = span_cut(c->s, c->at, c->s.n);
    const unsigned char *found = rest.n ? memmem(rest.p, rest.n, text, strlen(text)) : NULL;
    c->at = found ? (size_t)(found - c->s.p) + strlen(text) : c->s.n;
}

static bool skip_comment_or_instruction(struct svg_cursor *c)
{
    if (accept(c, "<!--"))
        skip_behind(c, "-->");
    else if (accept(c, "<?"))
        skip_behind(c, "?>");
    else
        return false;
    return true;
}

/* The rest of a DOCTYPE: its '>' is the one outside of quotes and of the internal subset's brackets. */
static void skip_doctype(struct svg_cursor *c)
{
    bool in_subset = false;

    while (c->at < c->s.n) {
        if (skip_comment_or_instruction(c))
            continue;
        int ch = peek(c);
        c->at++;
        if (ch == '"' || ch == '\'')
            skip_behind(c, ch == '"' ? "\"" : "'");
        else if (ch == '[')
            in_subset = true;
        else if (ch == ']')
            in_subset = false;
        else if (ch == '>' && !in_subset)
            return;
    }
}

static bool ends_name(int c)
{
    return c < 0 || is_space(c) || strchr("=/>\"'<", c);
}

static struct span read_name(struct svg_cursor *c)
{
    size_t start = c->at;
    while (!ends_name(peek(c)))
        c->at++;
    return span_cut(c->s, start, c->at - start);
}

static bool is_text(struct span s, const char *text)
{
    return s.n == strlen(text) && span_equals(s, 0, text, s.n);
}

/* Moves behind the root element's name if that is svg. A name that ends with the bytes may be longer in truth. */
static bool accept_svg_element(struct svg_cursor *c)
{
    if (!accept(c, "<"))
        return false;
    struct span name = read_name(c);
    const unsigned char *colon = name.n ? memchr(name.p, ':', name.n) : NULL;
    if (colon)
        name = span_cut(name, (size_t)(colon - name.p) + 1, name.n);
    return is_text(name, "svg") && peek(c) >= 0;
}

/* Reads name="value" or name='value' within a tag. False at the tag's end or where it is no longer XML. */
static bool read_attribute(struct svg_cursor *c, struct span *ret_name, struct span *ret_value)
{
    skip_space(c);
    struct span name = read_name(c);
    skip_space(c);
    if (!name.n || !accept(c, "="))
        return false;
    skip_space(c);
    int quote = peek(c);
    if (quote != '"' && quote != '\'')
        return false;
    struct span rest = span_cut(c->s, c->at + 1, c->s.n);
    const unsigned char *end = rest.n ? memchr(rest.p, quote, rest.n) : NULL;
    if (!end)
        return false;
    *ret_name = name;
    *ret_value = span_cut(rest, 0, (size_t)(end - rest.p));
    c->at += 2 + ret_value->n;
    return true;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* The digits here as a number; each behind a decimal point counts for `weight` of the one before. */
static bool read_digits(struct svg_cursor *c, double *value, double weight)
{
    bool any = false;
    for (double unit = weight; is_digit(peek(c)); c->at++, any = true) {
        if (weight < 1) {
            *value += (peek(c) - '0') * unit;
            unit *= weight;
        } else {
            *value = *value * 10 + (peek(c) - '0');
        }
    }
    return any;
}

/* The exponent of a number, if one stands here ("em" is a unit and not an exponent). Beyond +-400 a double is 0 or
 * infinite anyway. */
static int read_exponent(struct svg_cursor *c)
{
    struct svg_cursor ahead = *c;
    double value = 0;

    if (!accept(&ahead, "e") && !accept(&ahead, "E"))
        return 0;
    bool negative = accept(&ahead, "-");
    if (!negative)
        accept(&ahead, "+");
    if (!read_digits(&ahead, &value, 1))
        return 0;
    *c = ahead;
    int exponent = value > 400 ? 400 : (int)value;
    return negative ? -exponent : exponent;
}

/* A CSS number (CSS Values 3, section 4.3). strtod() would follow the locale and read beyond the bytes. */
static bool read_number(struct svg_cursor *c, double *ret)
{
    double value = 0;
    bool negative = accept(c, "-");
    if (!negative)
        accept(c, "+");
    bool whole = read_digits(c, &value, 1);
    bool fraction = accept(c, ".") && read_digits(c, &value, 0.1);
    if (!whole && !fraction)
        return false;
    int exponent = read_exponent(c);
    for (; exponent > 0; exponent--)
        value *= 10;
    for (; exponent < 0; exponent++)
        value /= 10;
    *ret = negative ? -value : value;
    return true;
}

/* To whole pixels; 0 for what is no size. */
static uint64_t pixels(double value)
{
    return value > 0 && value < INT_MAX ? (uint64_t)(value + 0.5) : 0;
}

/* A length without a unit or in px. All others depend on where the image is shown. */
static uint64_t read_length(struct span text)
{
    struct svg_cursor c = {text, 0};
    double value;

    skip_space(&c);
    if (!read_number(&c, &value))
        return 0;
    accept(&c, "px");
    skip_space(&c);
    return c.at == text.n ? pixels(value) : 0;
}

static struct sniff read_view_box(struct span text)
{
    struct svg_cursor c = {text, 0};
    double values[4]; /* left, top, width, height */

    for (size_t i = 0; i < 4; i++) {
        skip_space(&c);
        if (i && accept(&c, ","))
            skip_space(&c);
        if (!read_number(&c, &values[i]))
            return sniff_sized(SNIFF_SVG, 0, 0);
    }
    return sniff_sized(SNIFF_SVG, pixels(values[2]), pixels(values[3]));
}

struct sniff sniff_svg(struct span s)
{
    struct svg_cursor c = {s, 0};

    accept(&c, "\xEF\xBB\xBF");
    skip_space(&c);
    for (;;) {
        if (accept(&c, "<!DOCTYPE"))
            skip_doctype(&c);
        else if (!skip_comment_or_instruction(&c))
            break;
        skip_space(&c);
    }
    if (!accept_svg_element(&c))
        return sniff_sized(SNIFF_NONE, 0, 0);

    struct span name, value;
    struct sniff view_box = {.kind = SNIFF_SVG};
    uint64_t width = 0, height = 0;
    while (read_attribute(&c, &name, &value)) {
        if (is_text(name, "width"))
            width = read_length(value);
        else if (is_text(name, "height"))
            height = read_length(value);
        else if (is_text(name, "viewBox"))
            view_box = read_view_box(value);
    }
    struct sniff size = sniff_sized(SNIFF_SVG, width, height);
    return size.width ? size : view_box;
}
