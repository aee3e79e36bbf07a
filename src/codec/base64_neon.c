/* NEON loads and stores every third or fourth byte to a register of its own, and looks bytes up in tables of 64: that
 * leaves only shifts between the two. */
#include "codec/base64_ways.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define BYTES_PER_STEP 48
#define CHARS_PER_STEP 64

static const uint8_t alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Six-bit values of the characters below 128; NO has the top bit set. */
#define NO 0x80
static const uint8_t values[128] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, /* controls */
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, /* controls */
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO, NO, 63, /* + / */
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO, /* 0 to 9 */
    NO, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, /* A to O */
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, NO, /* P to Z */
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, /* a to o */
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO, /* p to z */
};

size_t base64_neon_encode(char *dst, const uint8_t *src, size_t n)
{
    const uint8x16x4_t table = vld1q_u8_x4(alphabet);
    const uint8x16_t six_bits = vdupq_n_u8(0x3f);
    size_t done = 0;

    for (; n - done >= BYTES_PER_STEP; done += BYTES_PER_STEP) {
        uint8x16x3_t in = vld3q_u8(src + done);
        uint8x16x4_t out;

        out.val[0] = vshrq_n_u8(in.val[0], 2);
        out.val[1] = vandq_u8(vorrq_u8(vshlq_n_u8(in.val[0], 4), vshrq_n_u8(in.val[1], 4)), six_bits);
        out.val[2] = vandq_u8(vorrq_u8(vshlq_n_u8(in.val[1], 2), vshrq_n_u8(in.val[2], 6)), six_bits);
        out.val[3] = vandq_u8(in.val[2], six_bits);
        /* No loop over the four: gcc 12 at -O2 would take them through memory. */
        out.val[0] = vqtbl4q_u8(table, out.val[0]);
        out.val[1] = vqtbl4q_u8(table, out.val[1]);
        out.val[2] = vqtbl4q_u8(table, out.val[2]);
        out.val[3] = vqtbl4q_u8(table, out.val[3]);
        vst4q_u8((uint8_t *)dst, out);
        dst += CHARS_PER_STEP;
    }
    return done;
}

/* Characters to six-bit values; sets the top bit in *wrong where one is outside the alphabet. */
static inline uint8x16_t to_values(uint8x16_t chars, uint8x16x4_t below_64, uint8x16x4_t from_64, uint8x16_t *wrong)
{
    uint8x16_t found = vqtbl4q_u8(below_64, chars);

    found = vqtbx4q_u8(found, from_64, vsubq_u8(chars, vdupq_n_u8(64)));
    /* Neither table has a character above 127, but that has the top bit itself. */
    *wrong = vorrq_u8(*wrong, vorrq_u8(found, chars));
    return found;
}

size_t base64_neon_decode(uint8_t *dst, const char *src, size_t n)
{
    const uint8x16x4_t below_64 = vld1q_u8_x4(values);
    const uint8x16x4_t from_64 = vld1q_u8_x4(values + 64);
    size_t done = 0;

    for (; n - done >= CHARS_PER_STEP; done += CHARS_PER_STEP) {
        uint8x16x4_t in = vld4q_u8((const uint8_t *)src + done);
        uint8x16_t wrong = vdupq_n_u8(0);
        uint8x16_t a = to_values(in.val[0], below_64, from_64, &wrong);
        uint8x16_t b = to_values(in.val[1], below_64, from_64, &wrong);
        uint8x16_t c = to_values(in.val[2], below_64, from_64, &wrong);
        uint8x16_t d = to_values(in.val[3], below_64, from_64, &wrong);
        uint8x16x3_t out;

        if (vmaxvq_u8(wrong) >= NO)
            break;
        out.val[0] = vorrq_u8(vshlq_n_u8(a, 2), vshrq_n_u8(b, 4));
        out.val[1] = vorrq_u8(vshlq_n_u8(b, 4), vshrq_n_u8(c, 2));
        out.val[2] = vorrq_u8(vshlq_n_u8(c, 6), d);
        vst3q_u8(dst, out);
        dst += BYTES_PER_STEP;
    }
    return done;
}

#endif
