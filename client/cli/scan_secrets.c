/* SPDX-License-Identifier: ISC */
#include "scan_secrets.h"

#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
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

static enum mortise_status take_secret(void *context, const struct wire_message *item)
{
	struct scan_collector *collector = context;
	struct scan_values *values = collector->values;
	char path[MORTISE_PATH_MAX + 1];
	struct scan_secret *list;

	TRY(ask_take_path(collector->cli, item, path));
	if (ask_flag(item, WIRE_TAG_DELETED)) {
		values->deleted++;
		return MORTISE_OK;
	}
	list = scan_secrets_extend(
		values->secrets, values->secret_count, &values->secret_room, sizeof *list);
	if (list == NULL)
		return scan_secrets_fail_memory(collector);
	values->secrets = list;
	list[values->secret_count] = (struct scan_secret){
		.path = strdup(path),
		.current = ask_number(item, WIRE_TAG_VERSION, 0),
		.first = UINT32_MAX,
	};
	if (list[values->secret_count].path == NULL)
		return scan_secrets_fail_memory(collector);
	values->secret_count++;
	return MORTISE_OK;
}

static int compare_secrets(const void *one, const void *other)
{
	return strcmp(
		((const struct scan_secret *)one)->path, ((const struct scan_secret *)other)->path);
}

/* Prefixes may overlap, and a page may repeat what changed meanwhile. */
static void settle_secrets(struct scan_values *values)
{
	size_t kept = 0;

	if (values->secret_count == 0)
		return;
	qsort(values->secrets, values->secret_count, sizeof *values->secrets, compare_secrets);
	for (size_t i = 1; i < values->secret_count; i++)
		if (compare_secrets(&values->secrets[kept], &values->secrets[i]) != 0)
			values->secrets[++kept] = values->secrets[i];
		else
			free(values->secrets[i].path);
	values->secret_count = kept + 1;
}

int scan_secrets_list(struct scan_collector *collector)
{
	struct cli *cli = collector->cli;
	struct ask_path prefix = {""};
	bool has_prefix = false;
	enum mortise_status status = MORTISE_OK;
	size_t size;
	int ending;

	for (int i = 0; i < cli->given_count && status == MORTISE_OK; i++) {
		if (strcmp(cli->given[i].option->name, "only") != 0)
			continue;
		has_prefix = true;
		ending = ask_expand(cli, cli->given[i].value, &prefix);
		if (ending != CLI_DONE)
			return ending;
		size = strlen(prefix.text);
		if (size > 0 && prefix.text[size - 1] == '/')
			prefix.text[size - 1] = '\0';
		status = ask_list(cli, prefix.text, take_secret, collector);
	}
	if (!has_prefix)
		status = ask_list(cli, "", take_secret, collector);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, prefix.text[0] != '\0' ? prefix.text : NULL);
	settle_secrets(collector->values);
	return CLI_DONE;
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
