/* SPDX-License-Identifier: ISC */
#include "slot_kinds.h"

#include <stdio.h>
#include <string.h>

static const struct slot_kind kinds[] = {
	{.name = SLOT_KIND_TPM2,
		.is_hardware = true,
		.has_pcrs = true,
		.changes_pin = true,
		.option = "tpm2",
		.pin_option = "tpm2-pin-file"},
	{.name = SLOT_KIND_PKCS11,
		.is_hardware = true,
		.has_uri = true,
		.is_found_first = true,
		.option = "pkcs11",
		.pin_option = "pin-file"},
	{.name = SLOT_KIND_RECOVERY, .option = "recovery"},
	{.name = SLOT_KIND_SHARES, .option = "recovery-shares"},
	{.name = SLOT_KIND_ESCROW, .option = "recovery-public-key"},
};

const struct slot_kind *slot_kind_at(size_t index)
{
	return index < sizeof kinds / sizeof kinds[0] ? &kinds[index] : NULL;
}

const struct slot_kind *slot_kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const char *slot_kind_words(const char *last, char out_words[SLOT_KIND_WORDS_SIZE])
{
	size_t used = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].is_hardware)
			used += (size_t)snprintf(out_words + used, SLOT_KIND_WORDS_SIZE - used,
				"%s%s", used ? ", " : "", kinds[i].name);
	(void)snprintf(out_words + used, SLOT_KIND_WORDS_SIZE - used, " or %s", last);
	return out_words;
}
