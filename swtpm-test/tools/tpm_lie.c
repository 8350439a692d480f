/* SPDX-License-Identifier: ISC */
#include "tpm_lie.h"

#define TPM_HEADER_SIZE 10

static uint64_t lie_state; /* 0: nothing is changed */

void tpm_lie_begin(uint64_t seed)
{
	lie_state = seed * 2 + 1;
}

bool tpm_lie_is_on(void)
{
	return lie_state != 0;
}

/* xorshift64*: the same lies for the same seed. */
static uint32_t draw(uint32_t below)
{
	lie_state ^= lie_state >> 12;
	lie_state ^= lie_state << 25;
	lie_state ^= lie_state >> 27;
	return (uint32_t)((lie_state * 0x2545f4914f6cdd1d) >> 32) % below;
}

static void store_be32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* A size or a count somewhere in the answer, made extreme. */
static void twist_size(uint8_t *answer, size_t size)
{
	static const uint16_t extremes[] = {0, 1, 0x7fff, 0x8000, 0xffff, 0x0400, 0x0401};
	uint16_t extreme = extremes[draw(sizeof extremes / sizeof *extremes)];
	size_t at = draw((uint32_t)size - 1);

	answer[at] = (uint8_t)(extreme >> 8);
	answer[at + 1] = (uint8_t)extreme;
}

size_t tpm_lie(uint8_t *answer, size_t size, size_t room)
{
	static const uint32_t codes[] = {0, 0x101, 0x8e, 0x9a2, 0x184, 0x12f, 0x143, 0x902, 0x903,
		0x922, 0x921, 0x98b, 0xffffffff, 0x80280400};
	size_t shorter;

	if (lie_state == 0 || size < TPM_HEADER_SIZE || draw(8) != 0)
		return size;
	switch (draw(7)) {
	case 0:
		answer[draw((uint32_t)size)] ^= (uint8_t)(1u << draw(8));
		return size;
	case 1:
		twist_size(answer, size);
		return size;
	case 2:
		store_be32(answer + 6, codes[draw(sizeof codes / sizeof *codes)]);
		return size;
	case 3: /* cut, and says so */
		shorter = TPM_HEADER_SIZE + draw((uint32_t)size - TPM_HEADER_SIZE + 1);
		store_be32(answer + 2, (uint32_t)shorter);
		return shorter;
	case 4: /* cut, and doesn't */
		return TPM_HEADER_SIZE + draw((uint32_t)size - TPM_HEADER_SIZE + 1);
	case 5: /* longer */
		shorter = draw(2048);
		for (size_t i = 0; i < shorter && size < room / 2; i++)
			answer[size++] = (uint8_t)draw(256);
		store_be32(answer + 2, (uint32_t)size);
		return size;
	default:
		store_be32(answer + 2, draw(2) != 0 ? 0xffffffff : draw(0x20000));
		return size;
	}
}
