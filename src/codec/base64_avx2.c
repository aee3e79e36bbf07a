/* After W. Muła and D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions", ACM Transactions on the
 * Web 12(3), 2018. AVX2 shuffles bytes only within each 128-bit half, so both halves do the same work side by side:
 * 12 bytes to or from 16 characters. */
#include "codec/base64_ways.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BYTES_PER_HALF   12
#define BYTES_PER_VECTOR 24
#define CHARS_PER_VECTOR 32

/* The same 16 bytes in both halves, first byte first. */
#define BOTH_HALVES(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

/* 24 bytes, 12 at the bottom of each half, to 32 values of six bits in the order of the characters. */
static inline __m256i split(__m256i bytes)
{
    /* Each 32-bit lane gets three bytes a b c as b a c b (lowest first), which leaves every value within one 16-bit
     * lane: the first and third in the high bits, to be shifted down, the second and fourth to be shifted up. */
    __m256i lanes = _mm256_shuffle_epi8(bytes, BOTH_HALVES(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    /* A multiplication is a shift whose distance differs per lane: down by 10 and 6, up by 4 and 8. */
    __m256i down =
        _mm256_mulhi_epu16(_mm256_and_si256(lanes, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(1 << 26 | 1 << 6));
    __m256i up =
        _mm256_mullo_epi16(_mm256_and_si256(lanes, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(1 << 24 | 1 << 4));
    return _mm256_or_si256(down, up);
}

/* Six-bit values to characters, by adding what the value's range is away from its characters. */
static inline __m256i to_chars(__m256i values)
{
    const __m256i distance = BOTH_HALVES('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                         '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    /* 0 for both cases of letters, 1 to 10 for the digits, 11 and 12 for the last two; then 13 for capitals. */
    __m256i range = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
    __m256i capital = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), values);

    range = _mm256_or_si256(range, _mm256_and_si256(capital, _mm256_set1_epi8(13)));
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(distance, range));
}

size_t base64_avx2_encode(char *dst, const uint8_t *src, size_t n)
{
    size_t done = 0;

    /* The upper half's load takes in four bytes more than it uses. */
    for (; n - done >= BYTES_PER_VECTOR + 4; done += BYTES_PER_VECTOR) {
        __m128i low = _mm_loadu_si128((const __m128i *)(src + done));
        __m128i high = _mm_loadu_si128((const __m128i *)(src + done + BYTES_PER_HALF));
        __m256i chars = to_chars(split(_mm256_set_m128i(high, low)));

        _mm256_storeu_si256((__m256i *)dst, chars);
        dst += CHARS_PER_VECTOR;
    }
    return done;
}

/* Characters by their high four bits. A character is outside the alphabet when its low four bits are wrong for its
 * class; OTHER is wrong with any. */
enum { SIGNS = 1, DIGITS = 2, LETTERS_FROM_1 = 4, LETTERS_TO_A = 8, OTHER = 16 };

/* Characters to six-bit values. Sets bits in *wrong when one is outside the alphabet; its value is then undefined. */
static inline __m256i to_values(__m256i chars, __m256i *wrong)
{
    enum {
        NOT_0 = OTHER | SIGNS | LETTERS_FROM_1,
        NOT_1_TO_9 = OTHER | SIGNS,
        NOT_A = OTHER | SIGNS | DIGITS,
        NOT_SIGN = OTHER | DIGITS | LETTERS_TO_A, /* '+' ends in b, '/' in f */
        NOT_C_TO_E = OTHER | SIGNS | DIGITS | LETTERS_TO_A,
    };
    const __m256i class_of_high = BOTH_HALVES(OTHER, OTHER, SIGNS, DIGITS, LETTERS_FROM_1, LETTERS_TO_A, LETTERS_FROM_1,
                                              LETTERS_TO_A, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER);
    const __m256i wrong_with_low =
        BOTH_HALVES(NOT_0, NOT_1_TO_9, NOT_1_TO_9, NOT_1_TO_9, NOT_1_TO_9, NOT_1_TO_9, NOT_1_TO_9, NOT_1_TO_9,
                    NOT_1_TO_9, NOT_1_TO_9, NOT_A, NOT_SIGN, NOT_C_TO_E, NOT_C_TO_E, NOT_C_TO_E, NOT_SIGN);
    /* By the high four bits again, less one for '/', which is not as far from its value as '+'. */
    const __m256i distance =
        BOTH_HALVES(0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i slash = _mm256_set1_epi8('/');
    /* '/' is also a mask that keeps the low four bits: the shuffle looks at them and the top bit only. */
    __m256i high = _mm256_and_si256(_mm256_srli_epi32(chars, 4), slash);
    __m256i low = _mm256_and_si256(chars, slash);

    *wrong = _mm256_and_si256(_mm256_shuffle_epi8(class_of_high, high), _mm256_shuffle_epi8(wrong_with_low, low));
    high = _mm256_add_epi8(high, _mm256_cmpeq_epi8(chars, slash));
    return _mm256_add_epi8(chars, _mm256_shuffle_epi8(distance, high));
}

/* 32 six-bit values to 24 bytes; eight zero bytes behind them. */
static inline __m256i join(__m256i values)
{
    /* Multiply and add neighbours: two times six bits to twelve, two times twelve to 24. */
    __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    /* Each 32-bit lane holds three bytes, last one first. */
    __m256i bytes = _mm256_shuffle_epi8(fours, BOTH_HALVES(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));

    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
}

size_t base64_avx2_decode(uint8_t *dst, const char *src, size_t n)
{
    size_t done = 0;

    /* A store writes eight bytes more than it has: twelve characters behind the vector make the room for them. */
    for (; n - done >= CHARS_PER_VECTOR + 12; done += CHARS_PER_VECTOR) {
        __m256i wrong;
        __m256i values = to_values(_mm256_loadu_si256((const __m256i *)(src + done)), &wrong);

        if (!_mm256_testz_si256(wrong, wrong))
            break;
        _mm256_storeu_si256((__m256i *)dst, join(values));
        dst += BYTES_PER_VECTOR;
    }
    return done;
}

#endif
