/* Printing for people and for programs. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdint.h>

#define OUTPUT_SIZE 32

/* "1,234,567" */
const char *output_number(char dst[OUTPUT_SIZE], int64_t n);

/* "512 bytes", "1.5 MiB" */
const char *output_bytes(char dst[OUTPUT_SIZE], int64_t n);

/* Prints a JSON value on stdout, with a newline, and frees it. */
void output_json(json_t *value);

#endif
