/* SPDX-License-Identifier: ISC */
/*
 * text: which bytes are a text that people may be shown as it is.
 * Characters are those of UTF-8 (RFC 3629): no longer spelling of one, no surrogates. Knows nothing
 * of how the others are spelled out.
 */
#ifndef MORTISE_TEXT_H
#define MORTISE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of the character at the front of size > 0 bytes; 0: the first byte begins none. */
size_t text_character(const void *bytes, size_t size, uint32_t *out_point);

/* C0, DEL and C1; separators of lines and paragraphs; Unicode's controls of direction. */
bool text_steers(uint32_t point);

/* UTF-8 without a character that steers. An empty one is a line, too. */
bool text_is_line(const void *bytes, size_t size);

#endif
