/* SPDX-License-Identifier: ISC */
/*
 * A secret's row as it comes from the disk. What is taken is put together again to the same
 * record, byte for byte, which is taken again and says the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"

#define NUMBER 1

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* In memory of just its size, and of the entry's own. */
static enum mortise_status take(const uint8_t *bytes, size_t size, struct entry **out_entry)
{
	uint8_t *copy = malloc(size ? size : 1);

	must(copy != NULL);
	if (size)
		memcpy(copy, bytes, size);
	return entry_take(NUMBER, copy, size, out_entry);
}

static void must_be_same(struct store_bytes one, struct store_bytes other)
{
	must(one.bytes && other.bytes && one.size == other.size &&
		memcmp(one.bytes, other.bytes, one.size) == 0);
}

static void must_say(const struct entry *entry, const struct entry_parts *parts)
{
	uint64_t above = 0;

	must(entry->number == NUMBER && entry->version_count == parts->version_count &&
		parts->version_count <= ENTRY_VERSIONS_MAX &&
		memcmp(entry->path_hash, parts->path_hash, INDEX_PATH_SIZE) == 0);
	must_be_same(entry->head, parts->head);
	for (size_t i = 0; i < parts->version_count; i++) {
		const struct entry_version *one = &entry->versions[i];
		const struct entry_version *other = &parts->versions[i];
		must(one->number > above && one->number == other->number &&
			one->place == other->place &&
			memcmp(one->wrapped_key, other->wrapped_key, ENTRY_KEY_SIZE) == 0);
		must_be_same(one->info, other->info);
		must(entry_version(entry, one->number) == one);
		above = one->number;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	CLEANUP(entry_drop) struct entry *entry = NULL;
	CLEANUP(entry_drop) struct entry *made = NULL;
	CLEANUP(entry_drop) struct entry *again = NULL;
	struct entry_parts parts;

	enum mortise_status status = take(bytes, size, &entry);
	must(status == MORTISE_OK || (status == MORTISE_INTEGRITY && !entry));
	if (status != MORTISE_OK)
		return 0;
	entry_part(entry, &parts);
	must_say(entry, &parts);
	status = entry_new(NUMBER, &parts, &made);
	if (size > STORE_RECORD_MAX) {
		must(status == MORTISE_INVALID);
		return 0;
	}
	must(status == MORTISE_OK && made->record_size == size &&
		memcmp(made->record, bytes, size) == 0);
	must_say(made, &parts);
	must(take(made->record, made->record_size, &again) == MORTISE_OK);
	must_say(again, &parts);
	return 0;
}
