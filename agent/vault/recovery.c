/* SPDX-License-Identifier: ISC */
#include "recovery.h"

#include <sodium.h>
#include <string.h>

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
