/* Inside codec/base64 only: the vector loops behind base64_encode and base64_decode.
 *
 * A loop does the whole vectors at the front of the input and returns how many bytes of src it has done; the portable
 * way goes on from there. So the rules about padding, the last bits and what is refused stand in one place. dst has
 * room for the whole input's result, and a loop may write anything anywhere in that room behind what it has done. */
#ifndef CODEC_BASE64_WAYS_H
#define CODEC_BASE64_WAYS_H

#include <stddef.h>
#include <stdint.h>

/* Returns a multiple of 3. */
typedef size_t base64_encode_loop(char *dst, const uint8_t *src, size_t n);

/* Returns a multiple of 4; stops before a vector that holds any byte outside the alphabet, '=' included. */
typedef size_t base64_decode_loop(uint8_t *dst, const char *src, size_t n);

#if defined(__x86_64__)
base64_encode_loop base64_avx2_encode;
base64_decode_loop base64_avx2_decode;
#endif

#if defined(__aarch64__)
base64_encode_loop base64_neon_encode;
base64_decode_loop base64_neon_decode;
#endif

#endif
