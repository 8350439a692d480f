/* SPDX-License-Identifier: ISC */
#include "shown.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

size_t shown_take(const void *bytes, size_t size, char out_piece[SHOWN_PIECE_MAX])
{
	const unsigned char *at = bytes;
	uint32_t point = 0;
	size_t length = text_character(at, size, &point);

	if (length == 0) {
		(void)snprintf(out_piece, SHOWN_PIECE_MAX, "\\x%02x", at[0]);
		return 1;
	}
	if (text_steers(point)) {
		(void)snprintf(out_piece, SHOWN_PIECE_MAX, "\\u%04x", point & 0xffff);
		return length;
	}
	memcpy(out_piece, at, length);
	out_piece[length] = '\0';
	return length;
}

size_t shown_text(const void *bytes, size_t size, char *out_text, size_t out_size)
{
	const unsigned char *at = bytes;
	char piece[SHOWN_PIECE_MAX];
	size_t needed = 0, used = 0;

	for (size_t taken = 0; taken < size;) {
		taken += shown_take(at + taken, size - taken, piece);
		size_t length = strlen(piece);
		needed += length;
		if (needed >= out_size)
			continue;
		memcpy(out_text + used, piece, length);
		used = needed;
	}
	if (out_size > 0)
		out_text[used] = '\0';
	return needed;
}
