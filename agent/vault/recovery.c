/* SPDX-License-Identifier: ISC */
#include "recovery.h"

#include <sodium.h>
#include <string.h>

#define GROUP_DIGITS 4 /* and one check digit */
#define DIGITS       (RECOVERY_GROUPS * GROUP_DIGITS)
#define BITS         5

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Multiplies by x in GF(32), modulo x^5 + x^2 + 1. */
static uint8_t times_x(uint8_t a)
{
	return (uint8_t)((a & 16 ? (a << 1) ^ 0x25 : a << 1) & 31);
}

/*
 * Horner's scheme gives each digit its own power of x as weight: a changed digit changes the
 * check, and so do two that change places, since no two weights are equal and none is 1.
 */
static uint8_t check_digit(const uint8_t digits[GROUP_DIGITS], unsigned group)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < GROUP_DIGITS; i++)
		sum = times_x(sum ^ digits[i]);
	return sum ^ (uint8_t)group;
}

static int digit_of(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	const char *found = c ? strchr(alphabet, c) : NULL;
	return found ? (int)(found - alphabet) : -1;
}

/* 52 digits hold 260 bits, most significant first; the last 4 are 0. */
static uint8_t digit_at(const uint8_t key[KEY_SIZE], unsigned index)
{
	unsigned digit = 0;

	for (unsigned bit = index * BITS; bit < (index + 1) * BITS; bit++) {
		unsigned byte = bit < KEY_SIZE * 8 ? key[bit / 8] : 0u;
		digit = digit << 1 | ((byte >> (7 - bit % 8)) & 1u);
	}
	return (uint8_t)digit;
}

enum mortise_status recovery_print(const struct secret *key, struct secret **out_text)
{
	CLEANUP(secret_drop) struct secret *text = NULL;

	if (key->size != KEY_SIZE)
		return MORTISE_INVALID;
	TRY(secret_new(RECOVERY_TEXT_SIZE, &text));
	char *at = (char *)text->bytes;
	for (unsigned group = 0; group < RECOVERY_GROUPS; group++) {
		uint8_t digits[GROUP_DIGITS];
		for (unsigned i = 0; i < GROUP_DIGITS; i++) {
			digits[i] = digit_at(key->bytes, group * GROUP_DIGITS + i);
			*at++ = alphabet[digits[i]];
		}
		*at++ = alphabet[check_digit(digits, group)];
		*at++ = '-';
		sodium_memzero(digits, sizeof digits);
	}
	at[-1] = '\0';
	*out_text = secret_take(&text);
	return MORTISE_OK;
}

/* Collects the digits of all groups; the number of the first wrong group, or 0. */
static unsigned read_groups(const uint8_t *typed, uint8_t *out_digits)
{
	for (unsigned group = 0; group < RECOVERY_GROUPS; group++) {
		const uint8_t *in = typed + group * (GROUP_DIGITS + 1);
		for (unsigned i = 0; i <= GROUP_DIGITS; i++)
			if (in[i] > 31)
				return group + 1;
		if (check_digit(in, group) != in[GROUP_DIGITS])
			return group + 1;
		memcpy(out_digits + group * GROUP_DIGITS, in, GROUP_DIGITS);
	}
	return out_digits[DIGITS - 1] & 15 ? RECOVERY_GROUPS : 0;
}

static void pack(const uint8_t *digits, uint8_t key[KEY_SIZE])
{
	for (unsigned bit = 0; bit < KEY_SIZE * 8; bit++) {
		unsigned digit = digits[bit / BITS], byte = key[bit / 8];
		unsigned set = (digit >> (BITS - 1 - bit % BITS)) & 1u;
		key[bit / 8] = (uint8_t)(byte << 1 | set);
	}
}

enum mortise_status recovery_parse(
	const char *text, size_t size, struct secret **out_key, unsigned *out_group)
{
	const size_t typed_size = RECOVERY_GROUPS * (GROUP_DIGITS + 1);
	CLEANUP(secret_drop) struct secret *typed = NULL;
	CLEANUP(secret_drop) struct secret *digits = NULL;
	CLEANUP(secret_drop) struct secret *key = NULL;
	size_t count = 0;

	TRY(secret_new(typed_size, &typed));
	TRY(secret_new(DIGITS, &digits));
	TRY(secret_new(KEY_SIZE, &key));
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '-' || text[i] == ' ' || text[i] == '\n' || text[i] == '\r')
			continue;
		if (count < typed_size)
			typed->bytes[count] = (uint8_t)digit_of(text[i]);
		count++;
	}
	unsigned wrong = count == typed_size ? read_groups(typed->bytes, digits->bytes) : 0;
	if (count != typed_size || wrong) {
		*out_group = wrong;
		return MORTISE_INVALID;
	}
	pack(digits->bytes, key->bytes);
	*out_key = secret_take(&key);
	return MORTISE_OK;
}

void recovery_id(const struct secret *key, char out_id[RECOVERY_ID_SIZE])
{
	uint8_t hash[crypto_generichash_BYTES];
	static const uint8_t purpose[] = "mortise recovery key id";

	crypto_generichash(hash, sizeof hash, purpose, sizeof purpose - 1, key->bytes, key->size);
	for (unsigned i = 0; i < RECOVERY_ID_SIZE - 1; i++)
		out_id[i] = alphabet[hash[i] & 31];
	out_id[RECOVERY_ID_SIZE - 1] = '\0';
}
