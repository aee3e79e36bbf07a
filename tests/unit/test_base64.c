#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codec/base64.h"

#define AREA_BYTES   ((size_t)16 << 20)
#define CANARY       0xa5
#define CANARY_BYTES 64

/* Memory with no access before its start and behind its end: a stray read or write dies at once. */
struct area {
    char *start, *end;
};

enum edge { AT_START, AT_END, EDGES };

static struct area plain, text, result;
static uint64_t random_state = 88172645463325252u;

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int area_open(struct area *a)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, AREA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    a->start = map + page;
    a->end = a->start + AREA_BYTES;
    return mprotect(a->start, AREA_BYTES, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

static char *area_at(const struct area *a, enum edge edge, size_t n)
{
    return edge == AT_START ? a->start : a->end - n;
}

static int open_areas(void **state)
{
    (void)state;
    return area_open(&plain) < 0 || area_open(&text) < 0 || area_open(&result) < 0 ? -1 : 0;
}

static void fill_random(char *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        dst[i] = (char)(random_state >> 32);
    }
}

/* A place for n bytes in `result`, `offset` away from the edge, with canaries on both sides as far as there is room. */
static char *guarded(enum edge edge, size_t offset, size_t n)
{
    char *dst = edge == AT_START ? result.start + offset : result.end - offset - n;
    size_t before = edge == AT_START ? offset : CANARY_BYTES;
    size_t behind = edge == AT_START ? CANARY_BYTES : offset;

    memset(dst - before, CANARY, before + n + behind);
    return dst;
}

static void check_canaries(const char *dst, enum edge edge, size_t offset, size_t n)
{
    size_t before = edge == AT_START ? offset : CANARY_BYTES;
    size_t behind = edge == AT_START ? CANARY_BYTES : offset;

    for (size_t i = 1; i <= before; i++)
        assert_int_equal((uint8_t)dst[-(ptrdiff_t)i], CANARY);
    for (size_t i = 0; i < behind; i++)
        assert_int_equal((uint8_t)dst[n + i], CANARY);
}

/* The way in use turns src into `want`, and back, and writes nothing beside it. */
static void check_both_directions(const char *src, size_t n, const char *want, enum edge edge, size_t offset)
{
    size_t chars = base64_encoded_len(n), room = base64_decoded_max(chars), len = SIZE_MAX;
    char *dst = guarded(edge, offset, chars);

    assert_int_equal(base64_encode(dst, src, n), chars);
    assert_memory_equal(dst, want, chars);
    check_canaries(dst, edge, offset, chars);

    dst = guarded(edge, offset, room);
    assert_int_equal(base64_decode(dst, &len, want, chars), 0);
    assert_int_equal(len, n);
    assert_memory_equal(dst, src, n);
    check_canaries(dst, edge, offset, room);
}

static void check_refused(const char *src, size_t n)
{
    size_t room = base64_decoded_max(n), len = 4711;
    char *dst = guarded(AT_END, 0, room);

    assert_int_equal(base64_decode(dst, &len, src, n), -EBADMSG);
    assert_int_equal(len, 4711);
    check_canaries(dst, AT_END, 0, room);
}

/* The first test, for it must see the first call. */
static void test_choice(void **state)
{
    enum base64_way way = base64_way();

    (void)state;
    assert_int_equal(base64_use(way), 0);
    assert_int_equal(base64_use(BASE64_PORTABLE), 0);
    assert_int_equal(base64_way(), BASE64_PORTABLE);
    assert_int_equal(base64_use(BASE64_WAYS), -ENOTSUP);
    assert_int_equal(base64_way(), BASE64_PORTABLE);
    assert_true(base64_use(BASE64_AVX2) < 0 || base64_use(BASE64_NEON) < 0);
    assert_string_equal(base64_way_name(BASE64_PORTABLE), "portable");
    assert_string_equal(base64_way_name(BASE64_AVX2), "avx2");
    assert_string_equal(base64_way_name(BASE64_NEON), "neon");
#if defined(__x86_64__)
    assert_int_equal(way, __builtin_cpu_supports("avx2") ? BASE64_AVX2 : BASE64_PORTABLE);
#elif defined(__aarch64__)
    assert_int_equal(way, BASE64_NEON);
#endif
}

/* RFC 4648, section 10. */
static void test_rfc_vectors(void **state)
{
    static const struct {
        const char *plain, *text;
    } cases[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };

    (void)state;
    for (int way = 0; way < BASE64_WAYS; way++)
        for (size_t i = 0; base64_use(way) == 0 && i < sizeof cases / sizeof cases[0]; i++)
            check_both_directions(cases[i].plain, strlen(cases[i].plain), cases[i].text, AT_END, 0);
}

static void test_empty(void **state)
{
    (void)state;
    for (int way = 0; way < BASE64_WAYS; way++) {
        size_t len = 4711;

        if (base64_use(way) < 0)
            continue;
        assert_int_equal(base64_encode(NULL, NULL, 0), 0);
        assert_int_equal(base64_decode(NULL, &len, NULL, 0), 0);
        assert_int_equal(len, 0);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {
        /* lengths */
        {"Z", 1},
        {"Zg", 2},
        {"Zg=", 3},
        {"Zm9vY", 5},
        {"Zm9vYmF", 7},
        /* padding: nothing but padding, too much, too early, followed by more */
        {"====", 4},
        {"Z===", 4},
        {"=m9v", 4},
        {"Z=9v", 4},
        {"Zm=v", 4},
        {"Zg=A", 4},
        {"Zm9v====", 8},
        {"Zg==Zg==", 8},
        {"Zm8=Zm9v", 8},
        /* bits behind the last byte */
        {"Zh==", 4},
        {"Zm9=", 4},
        {"Zm9vYn==", 8},
        /* bytes outside the alphabet, the URL alphabet included */
        {"Zm9v\n", 5},
        {"Zm9\n", 4},
        {"\r\nZm", 4},
        {"Zm v", 4},
        {"Zm9\0", 4},
        {"\0\0\0\0", 4},
        {"Zm-v", 4},
        {"Zm_v", 4},
        {"Zm\xc3\xa9", 4},
        {"\xff\xff\xff\xff", 4},
    };

    (void)state;
    for (int way = 0; way < BASE64_WAYS; way++)
        for (size_t i = 0; base64_use(way) == 0 && i < sizeof cases / sizeof cases[0]; i++) {
            char *head = text.start;
            size_t n = 256 + cases[i].n;

            check_refused(cases[i].text, cases[i].n);
            /* The same far behind whole vectors, and with whole vectors behind it. */
            memset(head, 'A', n);
            memcpy(head + 256, cases[i].text, cases[i].n);
            check_refused(head, n);
            memset(head, 'A', n);
            memcpy(head, cases[i].text, cases[i].n);
            check_refused(head, n);
        }
}

/* One input has one text: of the 64 last characters only those without stray bits pass. */
static void test_last_bits(void **state)
{
    (void)state;
    for (int way = 0; way < BASE64_WAYS; way++)
        for (int value = 0; base64_use(way) == 0 && value < 64; value++) {
            char one[] = {'/', alphabet[value], '=', '='}, two[] = {'/', '/', alphabet[value], '='};
            char dst[3];
            size_t len;

            assert_int_equal(base64_decode(dst, &len, one, 4), value % 16 == 0 ? 0 : -EBADMSG);
            assert_int_equal(base64_decode(dst, &len, two, 4), value % 4 == 0 ? 0 : -EBADMSG);
        }
}

/* Every byte at every place. The text is of '/' only, so that a '=' in its last place leaves stray bits. */
static void test_every_byte_everywhere(void **state)
{
    enum { CHARS = 64 * 3 };
    char *src = text.end - CHARS;

    (void)state;
    for (int way = 0; way < BASE64_WAYS; way++) {
        if (base64_use(way) < 0)
            continue;
        memset(src, '/', CHARS);
        for (size_t at = 0; at < CHARS; at++) {
            for (int byte = 0; byte < 256; byte++) {
                src[at] = (char)byte;
                if (byte == 0 || !strchr(alphabet, byte)) {
                    check_refused(src, CHARS);
                } else {
                    size_t len = 0;
                    char back[CHARS];

                    assert_int_equal(base64_decode(plain.start, &len, src, CHARS), 0);
                    assert_int_equal(len, base64_decoded_max(CHARS));
                    base64_encode(back, plain.start, len);
                    assert_memory_equal(back, src, CHARS);
                }
            }
            src[at] = '/';
        }
    }
}

/* Every way against the portable one, input and output both at the very edge of what may be touched. */
static void check_against_portable(size_t n)
{
    for (enum edge edge = 0; edge < EDGES; edge++) {
        char *src = area_at(&plain, edge, n), *want = area_at(&text, edge, base64_encoded_len(n));

        fill_random(src, n);
        assert_int_equal(base64_use(BASE64_PORTABLE), 0);
        base64_encode(want, src, n);
        for (int way = 0; way < BASE64_WAYS; way++)
            if (base64_use(way) == 0)
                check_both_directions(src, n, want, edge, 0);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 2000; n++)
        check_against_portable(n);
}

static void test_large(void **state)
{
    static const size_t sizes[] = {4095, 4096, 4097, 20000, 65535, 65536, 200001, 1048577, 5000000, 10000003};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_against_portable(sizes[i]);
}

static void test_alignments(void **state)
{
    enum { BYTES = 200, STEPS = 33 };
    char want[(BYTES + 2) / 3 * 4];

    (void)state;
    for (size_t in = 0; in < STEPS; in++) {
        char *src = plain.start + in, *moved = text.start + in;

        fill_random(src, BYTES);
        assert_int_equal(base64_use(BASE64_PORTABLE), 0);
        base64_encode(want, src, BYTES);
        memcpy(moved, want, sizeof want);
        for (size_t out = 0; out < STEPS; out++)
            for (int way = 0; way < BASE64_WAYS; way++)
                if (base64_use(way) == 0)
                    check_both_directions(src, BYTES, moved, AT_START, out);
    }
}

/* Damage that the loops meet late, at and around the borders of vectors and of the portable way's steps. */
static void test_damage_in_long_text(void **state)
{
    enum { BYTES = 9000, CHARS = BYTES / 3 * 4 };
    char *src = text.end - CHARS;

    (void)state;
    for (int way = 0; way < BASE64_WAYS; way++) {
        if (base64_use(way) < 0)
            continue;
        fill_random(plain.start, BYTES);
        base64_encode(src, plain.start, BYTES);
        for (size_t at = 0; at < CHARS; at += 1 + at % 7) {
            char was = src[at];

            src[at] = '\n';
            check_refused(src, CHARS);
            src[at] = was;
        }
        check_both_directions(plain.start, BYTES, src, AT_END, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),     cmocka_unit_test(test_rfc_vectors),
        cmocka_unit_test(test_empty),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_last_bits),  cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_lengths),    cmocka_unit_test(test_large),
        cmocka_unit_test(test_alignments), cmocka_unit_test(test_damage_in_long_text),
    };
    return cmocka_run_group_tests_name("base64", tests, open_areas, NULL);
}
