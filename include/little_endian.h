/* SPDX-License-Identifier: ISC */
/* little_endian: numbers as they stand in frames, records and on the disk. */
#ifndef MORTISE_LITTLE_ENDIAN_H
#define MORTISE_LITTLE_ENDIAN_H

#include <stdint.h>

static inline void le16_put(uint8_t at[2], uint16_t number)
{
	at[0] = (uint8_t)number;
	at[1] = (uint8_t)(number >> 8);
}

static inline void le32_put(uint8_t at[4], uint32_t number)
{
	le16_put(at, (uint16_t)number);
	le16_put(at + 2, (uint16_t)(number >> 16));
}

static inline void le64_put(uint8_t at[8], uint64_t number)
{
	le32_put(at, (uint32_t)number);
	le32_put(at + 4, (uint32_t)(number >> 32));
}

static inline uint16_t le16_get(const uint8_t at[2])
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t le32_get(const uint8_t at[4])
{
	return le16_get(at) | (uint32_t)le16_get(at + 2) << 16;
}

static inline uint64_t le64_get(const uint8_t at[8])
{
	return le32_get(at) | (uint64_t)le32_get(at + 4) << 32;
}

#endif
