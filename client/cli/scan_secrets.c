/* SPDX-License-Identifier: ISC */
#include "scan_secrets.h"

#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "listing.h"
#include "output.h"

void *scan_secrets_extend(void *list, size_t count, size_t *room, size_t size)
{
	size_t larger = *room == 0 ? 256 : 2 * *room;
	void *moved;

	if (count < *room)
		return list;
	moved = calloc(larger, size);
	if (moved == NULL)
		return NULL;
	if (count > 0)
		memcpy(moved, list, count * size);
	mortise_wipe(list, count * size);
	free(list);
	*room = larger;
	return moved;
}

enum mortise_status scan_secrets_fail_memory(const struct scan_collector *collector)
{
	return client_fail(collector->cli->agent, MORTISE_IO, "out of memory");
}

static enum mortise_status take_secret(
	const struct scan_collector *collector, const struct listing_entry *entry)
{
	struct scan_values *values = collector->values;
	struct scan_secret *list;

	if (entry->is_deleted) {
		values->deleted++;
		return MORTISE_OK;
	}
	list = scan_secrets_extend(
		values->secrets, values->secret_count, &values->secret_room, sizeof *list);
	if (list == NULL)
		return scan_secrets_fail_memory(collector);
	values->secrets = list;
	list[values->secret_count] = (struct scan_secret){
		.path = strdup(entry->path), .current = entry->version, .first = UINT32_MAX};
	if (list[values->secret_count].path == NULL)
		return scan_secrets_fail_memory(collector);
	values->secret_count++;
	return MORTISE_OK;
}

static int compare_entries(const void *one, const void *other)
{
	return strcmp(((const struct listing_entry *)one)->path,
		((const struct listing_entry *)other)->path);
}

/* Prefixes may overlap, and a page may repeat what changed meanwhile: one of each. */
static enum mortise_status take_all(
	const struct scan_collector *collector, const struct listing *listing)
{
	const struct listing_entry *last = NULL;

	if (listing->count > 0)
		qsort(listing->entries, listing->count, sizeof *listing->entries, compare_entries);
	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];

		if (last == NULL || strcmp(last->path, entry->path) != 0)
			TRY(take_secret(collector, entry));
		last = entry;
	}
	return MORTISE_OK;
}

static int collect_prefix(struct cli *cli, const char *given, struct listing *listing)
{
	enum mortise_status status;
	struct ask_path prefix;
	size_t size;
	int ending = ask_expand(cli, given, &prefix);

	if (ending != CLI_DONE)
		return ending;
	size = strlen(prefix.text);
	if (size > 0 && prefix.text[size - 1] == '/')
		prefix.text[size - 1] = '\0';
	status = listing_collect(cli, prefix.text, listing);
	if (status == MORTISE_OK)
		return CLI_DONE;
	return ask_fail(cli, status, prefix.text[0] != '\0' ? prefix.text : NULL);
}

int scan_secrets_list(struct scan_collector *collector)
{
	CLEANUP(listing_done) struct listing listing = {0};
	struct cli *cli = collector->cli;
	enum mortise_status status;
	int ending = CLI_DONE;

	if (!args_has(cli, "only"))
		ending = collect_prefix(cli, "", &listing);
	for (int i = 0; i < cli->given_count && ending == CLI_DONE; i++)
		if (strcmp(cli->given[i].option->name, "only") == 0)
			ending = collect_prefix(cli, cli->given[i].value, &listing);
	if (ending != CLI_DONE)
		return ending;
	status = take_all(collector, &listing);
	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, NULL);
}

static enum mortise_status take_versions(
	struct scan_collector *collector, uint32_t secret, const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct scan_secret *owner = &collector->values->secrets[secret];
	struct wire_message item;

	owner->current = ask_number(reply, WIRE_TAG_VERSION, owner->current);
	while (ask_next(&items, &item)) {
		struct scan_wanted wanted = {ask_number(&item, WIRE_TAG_VERSION, 0),
			ask_number(&item, WIRE_TAG_TOTAL, MORTISE_VALUE_MAX), secret};
		struct scan_wanted *list;

		if (args_has(collector->cli, "current") && wanted.version != owner->current)
			continue;
		list = scan_secrets_extend(collector->wanted, collector->wanted_count,
			&collector->wanted_room, sizeof *list);
		if (list == NULL)
			return scan_secrets_fail_memory(collector);
		collector->wanted = list;
		list[collector->wanted_count++] = wanted;
	}
	if (!wire_list_is_whole(&items))
		return client_fail(
			collector->cli->agent, MORTISE_IO, "the agent's reply is malformed");
	return MORTISE_OK;
}

void scan_secrets_deny(struct scan_values *values, struct scan_secret *secret)
{
	values->denied += !secret->is_denied;
	secret->is_denied = true;
}

/* What is gone or denied meanwhile is no error. */
enum mortise_status scan_secrets_versions(struct scan_collector *collector)
{
	struct scan_values *values = collector->values;

	for (uint32_t i = 0; i < values->secret_count; i++) {
		struct wire_message reply;
		enum mortise_status status;

		wire_put_text(client_begin(collector->cli->agent, WIRE_SHOW), WIRE_TAG_PATH,
			values->secrets[i].path);
		status = client_call(collector->cli->agent, &reply);
		if (status == MORTISE_OK)
			TRY(take_versions(collector, i, &reply));
		else if (status == MORTISE_DENIED)
			scan_secrets_deny(values, &values->secrets[i]);
		else if (status != MORTISE_NOT_FOUND)
			return status;
		progress_show(&collector->progress, "asking for versions: %u of %zu secrets", i,
			values->secret_count);
	}
	return MORTISE_OK;
}
