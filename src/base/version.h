/* Versions of the program: numbers separated by dots, compared number by number ("0.10.0" is newer than "0.9"); missing
 * numbers are 0, and what follows another character ("1.2.0-rc1", "1.2.0+git") does not count. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

/* Below 0, 0 or above 0, as strcmp. A text that does not begin with a number is newer than any version: something that
 * a later program has written. */
int version_compare(const char *a, const char *b);

#endif
