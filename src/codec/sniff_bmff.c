#include "codec/sniff_formats.h"

/* AVIF and HEIC are boxes in boxes: ISO/IEC 14496-12 (box, ftyp, meta, pitm) and 23008-12 (iprp, ipco, ispe, ipma). */

/* ipma names properties with at most 15 bits, so what lies behind in a longer ipco belongs to nothing. */
#define PROPERTIES_MAX 0x7FFF

struct box {
    struct span type;
    struct span body;
};

/* Reads the box at *at and moves *at behind it. A box that claims more than there is reaches up to the end: the caller
 * may hold only the first bytes of a file. */
static bool next_box(struct span s, size_t *at, struct box *ret)
{
    size_t header = 8;
    if (!span_has(s, *at, header))
        return false;

    uint64_t size = span_be(s, *at, 4);
    if (size == 1) {
        header = 16;
        size = span_be(s, *at + 8, 8);
    } else if (size == 0) {
        size = s.n - *at;
    }
    if (size < header)
        return false;
    if (size > s.n - *at)
        size = s.n - *at;

    ret->type = span_cut(s, *at + 4, 4);
    ret->body = span_cut(s, *at + header, size - header);
    *at += size;
    return true;
}

/* The body of the first box of this type, empty when there is none. */
static struct span find_box(struct span s, const char type[4])
{
    struct box b;
    for (size_t at = 0; next_box(s, &at, &b);) {
        if (span_equals(b.type, 0, type, 4))
            return b.body;
    }
    return (struct span){NULL, 0};
}

/* The kind by the first brand that says one: the major brand, else the compatible ones (a HEIC often calls itself
 * "mif1" first, which says nothing about the codec). */
static enum sniff_kind kind_of_brands(struct span ftyp)
{
    static const struct {
        char brand[5];
        enum sniff_kind kind;
    } brands[] = {
        {"avif", SNIFF_AVIF}, {"avis", SNIFF_AVIF}, {"heic", SNIFF_HEIC},
        {"heix", SNIFF_HEIC}, {"heim", SNIFF_HEIC}, {"heis", SNIFF_HEIC},
    };
    const size_t compatible = 8; /* behind the major brand and its version */

    for (size_t at = 0; span_has(ftyp, at, 4); at = at ? at + 4 : compatible) {
        for (size_t i = 0; i < sizeof brands / sizeof brands[0]; i++) {
            if (span_equals(ftyp, at, brands[i].brand, 4))
                return brands[i].kind;
        }
    }
    return SNIFF_NONE;
}

struct association {
    struct span list;
    size_t width; /* bytes per property index, 1 or 2 */
};

/* The properties of one item, as one ipma lists them; empty when it does not name the item. */
static struct association find_association(struct span ipma, uint64_t item)
{
    const size_t id_len = span_be(ipma, 0, 1) < 1 ? 2 : 4;
    const size_t width = span_be(ipma, 3, 1) & 1 ? 2 : 1;
    uint64_t count = span_be(ipma, 4, 4);
    size_t at = 8;

    for (uint64_t i = 0; i < count && span_has(ipma, at, id_len + 1); i++) {
        size_t len = span_be(ipma, at + id_len, 1) * width;
        if (span_be(ipma, at, id_len) == item)
            return (struct association){span_cut(ipma, at + id_len + 1, len), width};
        at += id_len + 1 + len;
    }
    return (struct association){.width = width};
}

static bool is_associated(const struct association *a, uint64_t property)
{
    const uint64_t index_mask = a->width == 2 ? 0x7FFF : 0x7F; /* the top bit only says "essential" */

    for (size_t at = 0; span_has(a->list, at, a->width); at += a->width) {
        if ((span_be(a->list, at, a->width) & index_mask) == property)
            return true;
    }
    return false;
}

/* The properties of the primary item; empty when the file does not say which they are. */
static struct association primary_association(struct span meta, struct span iprp)
{
    struct association a = {.width = 1};
    struct span pitm = find_box(meta, "pitm");
    uint64_t item = span_be(pitm, 4, span_be(pitm, 0, 1) ? 4 : 2);
    struct box b;

    for (size_t at = 0; item && !a.list.n && next_box(iprp, &at, &b);) {
        if (span_equals(b.type, 0, "ipma", 4))
            a = find_association(b.body, item);
    }
    return a;
}

struct sniff sniff_bmff(struct span s)
{
    const size_t version_and_flags = 4;
    enum sniff_kind kind = kind_of_brands(find_box(s, "ftyp"));
    if (kind == SNIFF_NONE)
        return sniff_sized(SNIFF_NONE, 0, 0);

    struct span meta = find_box(s, "meta");
    meta = span_cut(meta, version_and_flags, meta.n);
    struct span iprp = find_box(meta, "iprp");
    struct span ipco = find_box(iprp, "ipco");
    struct association primary = primary_association(meta, iprp);

    /* Without an answer for the primary item take the largest: thumbnails and tiles are smaller. */
    struct sniff largest = {.kind = kind};
    struct box b;
    size_t at = 0;
    for (uint64_t i = 1; i <= PROPERTIES_MAX && next_box(ipco, &at, &b); i++) {
        if (!span_equals(b.type, 0, "ispe", 4))
            continue;
        struct sniff size = sniff_sized(kind, span_be(b.body, 4, 4), span_be(b.body, 8, 4));
        if (size.width && is_associated(&primary, i))
            return size;
        if ((uint64_t)size.width * (uint64_t)size.height > (uint64_t)largest.width * (uint64_t)largest.height)
            largest = size;
    }
    return largest;
}
