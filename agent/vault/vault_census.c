/* SPDX-License-Identifier: ISC */
/*
 * Who keeps how much. The rows are looked at in the order of their numbers, in slices; what changes
 * meanwhile is counted at once if its number has been passed, and else when its turn comes.
 */
#include <stdlib.h>
#include <string.h>

#include "census.h"
#include "vault_rows.h"

struct counting {
	struct census *census;
	vault_classify *classify;
	void *context;
	uint64_t at; /* rows up to this number are counted */
	bool is_whole;
	bool is_lost; /* a row could not be counted: all are to be counted again */
};

static void drop(struct vault *vault)
{
	if (vault->counting)
		census_free(vault->counting->census);
	free(vault->counting);
	vault->counting = NULL;
}

enum mortise_status vault_count_by(struct vault *vault, vault_classify *classify, void *context)
{
	drop(vault);
	if (!classify)
		return MORTISE_OK;
	struct counting *counting = calloc(1, sizeof *counting);
	if (!counting || census_new(&counting->census) != MORTISE_OK) {
		free(counting);
		return MORTISE_BUSY;
	}
	counting->classify = classify;
	counting->context = context;
	vault->counting = counting;
	return MORTISE_OK;
}

static enum mortise_status count_version(struct counting *counting, const char *path,
	const struct entry_said *said, bool is_eldest, bool is_added)
{
	struct census_class classes[VAULT_CLASSES_MAX];
	const struct census_sum sum = {said->size_bytes + VAULT_VERSION_COST, is_eldest};
	size_t count = counting->classify(counting->context, said->uid, path, classes);

	for (size_t i = 0; i < count; i++)
		if (!is_added)
			census_take(counting->census, &classes[i], &sum);
		else
			TRY(census_add(counting->census, &classes[i], &sum));
	return MORTISE_OK;
}

static enum mortise_status count_entry(
	struct vault *vault, struct entry *entry, const char *path, bool is_added)
{
	struct vault_head head = {.path = ""};

	if (!path)
		TRY(head_open(vault, entry, &head));
	for (size_t i = 0; i < entry->version_count; i++) {
		struct entry_version *version = &entry->versions[i];
		TRY(info_say(vault, entry->number, version));
		TRY(count_version(vault->counting, path ? path : head.path, &version->said, i == 0,
			is_added));
	}
	return MORTISE_OK;
}

void vault_count_change(
	struct vault *vault, struct entry *before, struct entry *after, const char *path)
{
	struct counting *counting = vault->counting;
	const struct entry *either = before ? before : after;

	if (!counting || (!counting->is_whole && either->number > counting->at))
		return;
	bool has_moved = !before || !after ||
			 memcmp(before->path_hash, after->path_hash, INDEX_PATH_SIZE) != 0;
	if ((before && count_entry(vault, before, has_moved ? NULL : path, false) != MORTISE_OK) ||
		(after && count_entry(vault, after, path, true) != MORTISE_OK))
		counting->is_lost = true;
}

void vault_count_again(struct vault *vault)
{
	if (vault->counting)
		vault->counting->is_lost = true;
}

bool vault_is_counting(const struct vault *vault)
{
	return vault->counting && (!vault->counting->is_whole || vault->counting->is_lost);
}

static enum mortise_status begin_again(struct counting *counting)
{
	struct census *census = NULL;

	TRY(census_new(&census));
	census_free(counting->census);
	counting->census = census;
	counting->at = 0;
	counting->is_whole = counting->is_lost = false;
	return MORTISE_OK;
}

enum mortise_status vault_count_slice(struct vault *vault, unsigned budget_us)
{
	struct counting *counting = vault->counting;
	uint64_t until_us = vault_until(budget_us);

	if (!vault_is_counting(vault))
		return MORTISE_OK;
	if (counting->is_lost)
		TRY(begin_again(counting));
	do {
		CLEANUP(entry_drop) struct entry *entry = NULL;
		struct index_row row;
		counting->is_whole = !index_next(vault->index, counting->at, &row);
		if (counting->is_whole)
			return MORTISE_OK;
		enum mortise_status status = vault_glance(vault, row.number, &entry);
		counting->at = row.number;
		if (status == MORTISE_OK)
			status = count_entry(vault, entry, NULL, true);
		/* A row that cannot be read is served to nobody: `verify` names it. */
		if (status == MORTISE_INTEGRITY || status == MORTISE_IO)
			continue;
		counting->is_lost = status != MORTISE_OK;
		TRY(status);
	} while (vault_has_time(until_us));
	return MORTISE_OK;
}

enum mortise_status vault_counted(
	const struct vault *vault, const struct census_class *class_of, struct census_sum *out_sum)
{
	if (!vault->counting || vault_is_counting(vault))
		return MORTISE_BUSY;
	*out_sum = census_sum_of(vault->counting->census, class_of);
	return MORTISE_OK;
}

void vault_counted_each(const struct vault *vault, census_visit *visit, void *context)
{
	if (vault->counting && !vault_is_counting(vault))
		census_each(vault->counting->census, visit, context);
}
