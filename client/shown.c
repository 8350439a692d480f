/* SPDX-License-Identifier: ISC */
#include "shown.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The size of the character at the front, as RFC 3629 has it; 0: the first byte begins none. */
static size_t decode(const unsigned char *bytes, size_t size, uint32_t *out_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = bytes[0] < 0x80   ? 1
			: bytes[0] < 0xc0 ? 0
			: bytes[0] < 0xe0 ? 2
			: bytes[0] < 0xf0 ? 3
			: bytes[0] < 0xf8 ? 4
					  : 0;
	uint32_t point = bytes[0];

	if (length == 0 || length > size)
		return 0;
	if (length > 1)
		point &= 0x7fu >> length;
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (bytes[i] & 0x3f);
	}
	if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*out_point = point;
	return length;
}

/* C0, DEL and C1; ALM, LRM, RLM; line and paragraph, embeddings and overrides; isolates. */
static bool steers(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c ||
	       point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069);
}

size_t shown_take(const void *bytes, size_t size, char out_piece[SHOWN_PIECE_MAX])
{
	const unsigned char *at = bytes;
	uint32_t point = 0;
	size_t length = decode(at, size, &point);

	if (length == 0) {
		(void)snprintf(out_piece, SHOWN_PIECE_MAX, "\\x%02x", at[0]);
		return 1;
	}
	if (steers(point)) {
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
