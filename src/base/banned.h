/* Functions that overflow, truncate silently or hide errors do not compile here. Included by the compiler's command
 * line (-include), so that no file can forget it. The idea is git's banned.h. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>  /* IWYU pragma: keep */
#include <stdlib.h> /* IWYU pragma: keep */
#include <string.h> /* IWYU pragma: keep */

#define BANNED(name) banned_function_##name

#undef strcpy
#define strcpy(dst, src) BANNED(strcpy)
#undef strcat
#define strcat(dst, src) BANNED(strcat)
#undef strncpy
#define strncpy(dst, src, n) BANNED(strncpy)
#undef strncat
#define strncat(dst, src, n) BANNED(strncat)
#undef strtok
#define strtok(str, delim) BANNED(strtok)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gets
#define gets(buf) BANNED(gets)
#undef atoi
#define atoi(str) BANNED(atoi)
#undef atol
#define atol(str) BANNED(atol)
#undef atoll
#define atoll(str) BANNED(atoll)
#undef atof
#define atof(str) BANNED(atof)

#endif
