/* SPDX-License-Identifier: ISC */
#include "scan_values.h"

#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "encodings.h"
#include "list.h"
#include "output.h"
#include "progress.h"

/* Which secrets there are to look for, and which versions; no values yet. */

/* A version to ask for. */
struct scan_wanted {
	uint64_t version, size;
	uint32_t secret;
};

struct scan_collector {
	struct cli *cli;
	struct scan_values *values;
	struct scan_wanted *wanted;
	size_t wanted_count, wanted_room;
	struct progress progress;
};

/*
 * Room for one more; NULL without memory, and then list is as it was. Hashes of values leave no
 * copy behind.
 */
static void *scan_secrets_extend(void *list, size_t count, size_t *room, size_t size)
{
	size_t larger = *room == 0 ? 256 : 2 * *room;
	void *moved;

	if (count < *room)
		return list;
	moved = calloc(larger, size);
	if (!moved)
		return NULL;
	if (count > 0)
		memcpy(moved, list, count * size);
	mortise_wipe(list, count * size);
	free(list);
	*room = larger;
	return moved;
}

/* MORTISE_IO, with its message. */
static enum mortise_status scan_secrets_fail_memory(const struct scan_collector *collector)
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
	if (!list)
		return scan_secrets_fail_memory(collector);
	values->secrets = list;
	list[values->secret_count] = (struct scan_secret){
		.path = strdup(entry->path), .current = entry->version, .first = UINT32_MAX};
	if (!list[values->secret_count].path)
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

		if (!last || strcmp(last->path, entry->path) != 0)
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

/*
 * Fills secrets: those below the prefixes of --only, or all. CLI_DONE, or an exit status after
 * the error.
 */
static int scan_secrets_list(struct scan_collector *collector)
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
		if (!list)
			return scan_secrets_fail_memory(collector);
		collector->wanted = list;
		list[collector->wanted_count++] = wanted;
	}
	if (!wire_list_is_whole(&items))
		return client_fail(
			collector->cli->agent, MORTISE_IO, "the agent's reply is malformed");
	return MORTISE_OK;
}

/* A secret that may be listed and not read counts once. */
static void scan_secrets_deny(struct scan_values *values, struct scan_secret *secret)
{
	values->denied += !secret->is_denied;
	secret->is_denied = true;
}

/* What is gone or denied meanwhile is no error. */
static enum mortise_status scan_secrets_versions(struct scan_collector *collector)
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

#define FORMS_MAX 256 /* different ones of one value */
#define BATCH_BYTES                                                                                \
	120000 /* of values in one reply: the rest of the frame is for what is around              \
		*/
#define ITEM_OVERHEAD 64
#define ENDING_MAX    8 /* how much longer a form is that only ends in another way */

/* The forms of one value so far. */
struct forms {
	struct scan_values *values;
	struct {
		size_t size;
		uint64_t hash, head; /* of its first bytes: most forms differ there */
	} form[FORMS_MAX];
	size_t count;
};

/* One GET has one version, so equal ones stand together; the newest come first. */
static int compare_wanted(const void *one, const void *other)
{
	const struct scan_wanted *a = one, *b = other;

	if (a->version != b->version)
		return a->version > b->version ? -1 : 1;
	return a->secret < b->secret ? -1 : a->secret > b->secret;
}

static bool has_value(const struct scan_values *values, const struct scan_secret *secret,
	uint64_t hash, size_t size)
{
	for (uint32_t i = secret->first; i != UINT32_MAX; i = values->values[i].next)
		if (values->values[i].hash == hash && values->values[i].size == size)
			return true;
	return false;
}

static uint32_t name_of(struct scan_values *values, const char *name)
{
	for (uint32_t i = 0; i < values->name_count; i++)
		if (strcmp(values->names[i], name) == 0)
			return i;
	if (values->name_count < SCAN_NAMES_MAX)
		values->names[values->name_count++] = name;
	return values->name_count - 1;
}

/* Was there one that is this, or is this but for how it ends? Then that one is found. */
static bool is_covered(const struct forms *forms, const struct encodings_form *form, uint64_t hash)
{
	uint64_t head = scan_match_hash(form->bytes, ENCODINGS_VALUE_MIN);

	for (size_t i = 0; i < forms->count; i++) {
		size_t size = forms->form[i].size;

		if (forms->form[i].head != head)
			continue;
		if (size == form->size && forms->form[i].hash == hash)
			return true;
		if (size < form->size && form->size - size <= ENDING_MAX &&
			forms->form[i].hash == scan_match_hash(form->bytes, size))
			return true;
	}
	return false;
}

static enum mortise_status take_form(void *context, const struct encodings_form *form)
{
	struct forms *forms = context;
	uint64_t hash = scan_match_hash(form->bytes, form->size);
	uint32_t value = (uint32_t)(forms->values->value_count - 1);

	if (is_covered(forms, form, hash))
		return MORTISE_OK;
	if (forms->count < FORMS_MAX) {
		forms->form[forms->count].size = form->size;
		forms->form[forms->count].head = scan_match_hash(form->bytes, ENCODINGS_VALUE_MIN);
		forms->form[forms->count++].hash = hash;
	}
	return scan_match_add(forms->values->match, form->bytes, form->size,
		value << SCAN_NAME_BITS | name_of(forms->values, form->name));
}

static enum mortise_status add_value(struct scan_collector *collector,
	const struct scan_wanted *wanted, const struct wire_field *bytes)
{
	struct scan_values *values = collector->values;
	struct scan_secret *secret = &values->secrets[wanted->secret];
	struct forms forms = {.values = values};
	struct scan_value *list;
	enum mortise_status status;
	uint64_t hash = scan_match_hash(bytes->bytes, bytes->size);

	if (bytes->size < ENCODINGS_VALUE_MIN) {
		values->too_short++;
		return MORTISE_OK;
	}
	if (has_value(values, secret, hash, bytes->size))
		return MORTISE_OK;
	list = scan_secrets_extend(
		values->values, values->value_count, &values->value_room, sizeof *list);
	if (!list || values->value_count == UINT32_MAX >> SCAN_NAME_BITS)
		return scan_secrets_fail_memory(collector);
	values->values = list;
	list[values->value_count] = (struct scan_value){
		wanted->version, hash, bytes->size, wanted->secret, secret->first};
	secret->first = (uint32_t)values->value_count++;
	status = encodings_each(bytes->bytes, bytes->size, take_form, &forms);
	mortise_wipe(&forms, sizeof forms);
	return status == MORTISE_OK ? MORTISE_OK : scan_secrets_fail_memory(collector);
}

/* From first on: how many of one version fit one request and its reply. */
static size_t batch_size(const struct scan_collector *collector, size_t first)
{
	const struct scan_wanted *wanted = collector->wanted;
	size_t count = 0, bytes = 0;

	while (first + count < collector->wanted_count && count < WIRE_BATCH_MAX &&
		wanted[first + count].version == wanted[first].version) {
		bytes += wanted[first + count].size + ITEM_OVERHEAD;
		if (count > 0 && bytes > BATCH_BYTES)
			break;
		count++;
	}
	return count;
}

static enum mortise_status take_item(struct scan_collector *collector,
	const struct scan_wanted *wanted, const struct wire_message *item)
{
	uint64_t status = ask_number(item, WIRE_TAG_STATUS, UINT64_MAX);

	if (status == MORTISE_OK && wire_has(item, WIRE_TAG_VALUE))
		return add_value(collector, wanted, wire_field_of(item, WIRE_TAG_VALUE));
	if (status == MORTISE_DENIED)
		scan_secrets_deny(collector->values, &collector->values->secrets[wanted->secret]);
	if (status == MORTISE_DENIED || status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	if (status == MORTISE_OK || status > MORTISE_REJECTED)
		return client_fail(
			collector->cli->agent, MORTISE_IO, "the agent's reply is malformed");
	return client_fail(collector->cli->agent, (enum mortise_status)status, "%s: %s",
		collector->values->secrets[wanted->secret].path,
		mortise_status_text((enum mortise_status)status));
}

static enum mortise_status get_batch(struct scan_collector *collector, size_t first, size_t count)
{
	struct wire_writer *writer = client_begin(collector->cli->agent, WIRE_GET);
	const struct scan_wanted *wanted = collector->wanted + first;
	size_t mark = wire_list_begin(writer, WIRE_TAG_PATHS);
	struct wire_message reply, item;
	struct wire_list items;

	for (size_t i = 0; i < count; i++) {
		const char *path = collector->values->secrets[wanted[i].secret].path;

		wire_item_put(writer, path, strlen(path));
	}
	wire_list_end(writer, mark);
	wire_put_number(writer, WIRE_TAG_VERSION, wanted->version);
	TRY(client_call(collector->cli->agent, &reply));
	items = wire_list_of(&reply, WIRE_TAG_ITEMS);
	for (size_t i = 0; i < count; i++) {
		if (!ask_next(&items, &item))
			return client_fail(collector->cli->agent, MORTISE_IO,
				"the agent's reply is malformed");
		TRY(take_item(collector, &wanted[i], &item));
	}
	return MORTISE_OK;
}

static enum mortise_status get_all(struct scan_collector *collector)
{
	size_t count;

	if (collector->wanted_count > 0)
		qsort(collector->wanted, collector->wanted_count, sizeof *collector->wanted,
			compare_wanted);
	for (size_t first = 0; first < collector->wanted_count; first += count) {
		count = batch_size(collector, first);
		TRY(get_batch(collector, first, count));
		progress_show(&collector->progress, "asking for values: %zu of %zu", first,
			collector->wanted_count);
	}
	client_wipe(collector->cli->agent);
	return scan_match_prepare(collector->values->match) == MORTISE_OK
		       ? MORTISE_OK
		       : scan_secrets_fail_memory(collector);
}

int scan_values_collect(struct cli *cli, struct scan_values *values)
{
	struct scan_collector collector = {
		.cli = cli, .values = values, .progress = progress_begin()};
	enum mortise_status status;
	int ending;

	values->match = scan_match_new();
	if (!values->match)
		return output_fail(cli, MORTISE_IO, "out of memory");
	ending = scan_secrets_list(&collector);
	if (ending == CLI_DONE) {
		status = scan_secrets_versions(&collector);
		if (status == MORTISE_OK)
			status = get_all(&collector);
		progress_clear(&collector.progress);
		if (status != MORTISE_OK)
			ending = ask_fail(cli, status, NULL);
	}
	free(collector.wanted);
	return ending;
}

void scan_values_done(struct scan_values *values)
{
	for (size_t i = 0; i < values->secret_count; i++)
		free(values->secrets[i].path);
	free(values->secrets);
	mortise_wipe(values->values, values->value_count * sizeof *values->values);
	free(values->values);
	scan_match_free(&values->match);
}

const struct scan_value *scan_values_value(const struct scan_values *values, uint32_t tag)
{
	return &values->values[tag >> SCAN_NAME_BITS];
}

const char *scan_values_encoding(const struct scan_values *values, uint32_t tag)
{
	return values->names[tag & (SCAN_NAMES_MAX - 1)];
}
