/* SPDX-License-Identifier: ISC */
#include "text.h"

size_t text_character(const void *text, size_t size, uint32_t *out_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = text;
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

/* ALM, LRM, RLM; line and paragraph, embeddings and overrides; isolates. */
bool text_steers(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c ||
	       point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069);
}

bool text_is_line(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint32_t point = 0;

	for (size_t taken = 0; taken < size;) {
		size_t length = text_character(at + taken, size - taken, &point);

		if (length == 0 || text_steers(point))
			return false;
		taken += length;
	}
	return true;
}
