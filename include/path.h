/* SPDX-License-Identifier: ISC */
/*
 * path: the names of secrets, and the patterns of rules over them.
 * A path is 1 to 8 segments of [a-z0-9][a-z0-9._-]*, joined by '/', at most 255 bytes.
 * Nothing is ever normalised: what is not a path is refused.
 * A pattern is the same with '*' for any run within a segment and '**' across segments.
 */
#ifndef MORTISE_PATH_H
#define MORTISE_PATH_H

#include <stdbool.h>
#include <stddef.h>

bool path_is_valid(const char *path, size_t size);

/* Like a path, with '*' and '**' anywhere; never three '*' in a row. */
bool pattern_is_valid(const char *pattern, size_t size);

/*
 * Both valid and NUL-terminated. '*' matches zero or more bytes other than '/'; '**' zero or
 * more bytes of any kind. Time is at most the product of the lengths.
 */
bool pattern_matches(const char *pattern, const char *path);

#endif
