/* SPDX-License-Identifier: ISC */
#include "recovery.h"

#include <sodium.h>
#include <string.h>

#define GROUPS_UNMARKED 255u

#define GROUP_DIGITS 4 /* and one check digit */
#define BITS         5

static const char alphabet[] = GROUPS_ALPHABET;

/* Multiplies by x in GF(32), modulo x^5 + x^2 + 1. */
static uint8_t times_x(uint8_t a)
{
	return (uint8_t)((a & 16 ? (a << 1) ^ 0x25 : a << 1) & 31);
}

/*
 * Horner's scheme gives each digit its own power of x as weight: a changed digit changes the
 * check, and so do two that change places, since no two weights are equal and none is 1.
 */
static uint8_t check_digit(const uint8_t digits[GROUP_DIGITS], unsigned group, unsigned mark)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < GROUP_DIGITS; i++)
		sum = times_x(sum ^ digits[i]);
	return (uint8_t)((sum ^ group ^ mark) & 31);
}

int groups_digit(char c)
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

/* Most significant first; behind the last byte there are zeros. */
static uint8_t digit_at(const struct groups_form *form, const uint8_t *bytes, unsigned index)
{
	unsigned digit = 0;

	for (unsigned bit = index * BITS; bit < (index + 1) * BITS; bit++) {
		unsigned byte = bit < form->size_bytes * 8 ? bytes[bit / 8] : 0u;
		digit = digit << 1 | ((byte >> (7 - bit % 8)) & 1u);
	}
	return (uint8_t)digit;
}

static unsigned mark_of(const struct groups_form *form, unsigned group, uint8_t first_byte)
{
	return group >= form->marked_from ? first_byte : 0u;
}

void groups_print(const struct groups_form *form, const uint8_t *bytes, char *out_text)
{
	char *at = out_text;

	for (unsigned group = 0; group < GROUPS_OF(form->size_bytes); group++) {
		uint8_t digits[GROUP_DIGITS];
		for (unsigned i = 0; i < GROUP_DIGITS; i++) {
			digits[i] = digit_at(form, bytes, group * GROUP_DIGITS + i);
			*at++ = alphabet[digits[i]];
		}
		*at++ = alphabet[check_digit(digits, group, mark_of(form, group, bytes[0]))];
		*at++ = '-';
		sodium_memzero(digits, sizeof digits);
	}
	at[-1] = '\0';
}

/* Collects the digits of all groups; the number of the first wrong group, or 0. */
static unsigned read_groups(
	const struct groups_form *form, const uint8_t *typed, uint8_t *out_digits)
{
	const unsigned count = (unsigned)GROUPS_OF(form->size_bytes);
	const unsigned spare_bits = count * GROUP_DIGITS * BITS - (unsigned)form->size_bytes * 8;

	for (unsigned group = 0; group < count; group++) {
		const uint8_t *in = typed + group * (GROUP_DIGITS + 1);
		for (unsigned i = 0; i <= GROUP_DIGITS; i++)
			if (in[i] > 31)
				return group + 1;
		memcpy(out_digits + group * GROUP_DIGITS, in, GROUP_DIGITS);
		uint8_t first_byte = (uint8_t)(out_digits[0] << 3 | out_digits[1] >> 2);
		if (check_digit(in, group, mark_of(form, group, first_byte)) != in[GROUP_DIGITS])
			return group + 1;
	}
	return out_digits[count * GROUP_DIGITS - 1] & ((1u << spare_bits) - 1) ? count : 0;
}

static void pack(const struct groups_form *form, const uint8_t *digits, uint8_t *out_bytes)
{
	for (unsigned bit = 0; bit < form->size_bytes * 8; bit++) {
		unsigned digit = digits[bit / BITS], byte = out_bytes[bit / 8];
		unsigned set = (digit >> (BITS - 1 - bit % BITS)) & 1u;
		out_bytes[bit / 8] = (uint8_t)(byte << 1 | set);
	}
}

enum mortise_status groups_parse(const struct groups_form *form, const char *text, size_t size,
	struct secret **out_bytes, unsigned *out_group)
{
	const size_t count_digits = GROUPS_OF(form->size_bytes) * GROUP_DIGITS;
	const size_t typed_size = GROUPS_OF(form->size_bytes) * (GROUP_DIGITS + 1);
	CLEANUP(secret_drop) struct secret *typed = NULL;
	CLEANUP(secret_drop) struct secret *digits = NULL;
	CLEANUP(secret_drop) struct secret *bytes = NULL;
	size_t count = 0;

	TRY(secret_new(typed_size, &typed));
	TRY(secret_new(count_digits, &digits));
	TRY(secret_new(form->size_bytes, &bytes));
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '-' || text[i] == ' ' || text[i] == '\n' || text[i] == '\r')
			continue;
		if (count < typed_size)
			typed->bytes[count] = (uint8_t)groups_digit(text[i]);
		count++;
	}
	unsigned wrong = count == typed_size ? read_groups(form, typed->bytes, digits->bytes) : 0;
	if (count != typed_size || wrong) {
		*out_group = wrong;
		return MORTISE_INVALID;
	}
	pack(form, digits->bytes, bytes->bytes);
	*out_bytes = secret_take(&bytes);
	return MORTISE_OK;
}

static const struct groups_form form = {KEY_SIZE, GROUPS_UNMARKED};

enum mortise_status recovery_print(const struct secret *key, struct secret **out_text)
{
	CLEANUP(secret_drop) struct secret *text = NULL;

	if (key->size != KEY_SIZE)
		return MORTISE_INVALID;
	TRY(secret_new(RECOVERY_TEXT_SIZE, &text));
	groups_print(&form, key->bytes, (char *)text->bytes);
	*out_text = secret_take(&text);
	return MORTISE_OK;
}

enum mortise_status recovery_parse(
	const char *text, size_t size, struct secret **out_key, unsigned *out_group)
{
	return groups_parse(&form, text, size, out_key, out_group);
}

void recovery_id(const struct secret *key, char out_id[RECOVERY_ID_SIZE])
{
	uint8_t hash[crypto_generichash_BYTES];
	static const uint8_t purpose[] = "mortise recovery key id";

	crypto_generichash(hash, sizeof hash, purpose, sizeof purpose - 1, key->bytes, key->size);
	for (unsigned i = 0; i < RECOVERY_ID_SIZE - 1; i++)
		out_id[i] = GROUPS_ALPHABET[hash[i] & 31];
	out_id[RECOVERY_ID_SIZE - 1] = '\0';
}
