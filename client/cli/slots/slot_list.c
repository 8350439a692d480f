/* SPDX-License-Identifier: ISC */
#include "slot_list.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "slot_kinds.h"
#include "when.h"

static const struct {
	const char *name;
	size_t at;
	unsigned tag;
} numbers[] = {
	{"id", offsetof(struct slot_line, id), WIRE_TAG_NUMBER},
	{"of", offsetof(struct slot_line, of), WIRE_TAG_NUMBER},
	{"shares", offsetof(struct slot_line, shares), WIRE_TAG_NUMBER},
	{"threshold", offsetof(struct slot_line, threshold), WIRE_TAG_NUMBER},
	{"ends", offsetof(struct slot_line, ends_us), WIRE_TAG_TIME},
	{"created", offsetof(struct slot_line, created_us), WIRE_TAG_TIME},
	{"opened", offsetof(struct slot_line, opened_us), WIRE_TAG_TIME},
	{"tested", offsetof(struct slot_line, tested_us), WIRE_TAG_TIME},
};

#define TEXT(field)                                                                                \
	{                                                                                          \
#field, offsetof(struct slot_line, field), sizeof(((struct slot_line *)0)->field)  \
	}

static const struct {
	const char *name;
	size_t at, size;
} texts[] = {
	TEXT(kind), TEXT(state), TEXT(key_id), TEXT(pin), TEXT(pcrs), TEXT(pcr_policy), TEXT(uri)};

/* A fact that this version does not know is left out. */
static void take_fact(const struct wire_message *fact, struct slot_line *line)
{
	char name[64];

	if (wire_text(fact, WIRE_TAG_NAME, name, sizeof name) != MORTISE_OK)
		return;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (strcmp(name, numbers[i].name) == 0) {
			uint64_t number = ask_number(fact, numbers[i].tag, 0);

			memcpy((char *)line + numbers[i].at, &number, sizeof number);
		}
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (strcmp(name, texts[i].name) == 0)
			/* A text that is too long is none: the line is shown without it. */
			(void)!wire_text(
				fact, WIRE_TAG_TEXT, (char *)line + texts[i].at, texts[i].size);
}

static int request(struct cli *cli, struct wire_message *out_reply)
{
	(void)client_begin(cli->agent, WIRE_SLOT_LIST);
	enum mortise_status status = client_call(cli->agent, out_reply);

	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, NULL);
}

enum mortise_status slot_list_ask(struct cli *cli, struct slot_list *out_list)
{
	struct wire_message reply, item, fact;

	(void)client_begin(cli->agent, WIRE_SLOT_LIST);
	TRY(client_call(cli->agent, &reply));
	memset(out_list, 0, sizeof *out_list);
	struct wire_list items = wire_list_of(&reply, WIRE_TAG_ITEMS);
	while (out_list->count < SLOT_LIST_MAX && ask_next(&items, &item)) {
		struct wire_list facts = wire_list_of(&item, WIRE_TAG_ITEMS);

		while (ask_next(&facts, &fact))
			take_fact(&fact, &out_list->lines[out_list->count]);
		if (!wire_list_is_whole(&facts))
			return client_fail(cli->agent, MORTISE_IO, "%s", ask_malformed);
		out_list->count++;
	}
	return wire_list_is_whole(&items)
		       ? MORTISE_OK
		       : client_fail(cli->agent, MORTISE_IO, "%s", ask_malformed);
}

int slot_list_fetch(struct cli *cli, struct slot_list *out_list)
{
	enum mortise_status status = slot_list_ask(cli, out_list);

	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, NULL);
}

int slot_list_find(struct cli *cli, struct slot_list *out_list, const struct slot_line **out_line)
{
	uint64_t id = 0;
	int ending;

	if (!args_number(cli->operands[0], &id) || id == 0)
		return output_fail(cli, MORTISE_INVALID,
			"%s: a slot is named by its number; see: mortise slot list",
			cli->operands[0]);
	ending = slot_list_fetch(cli, out_list);
	if (ending != CLI_DONE)
		return ending;
	for (size_t i = 0; i < out_list->count; i++)
		if (out_list->lines[i].id == id) {
			*out_line = &out_list->lines[i];
			return CLI_DONE;
		}
	return output_fail(cli, MORTISE_NOT_FOUND, "no slot %llu; see: mortise slot list",
		(unsigned long long)id);
}

static bool is_to_stay(const struct slot_line *line)
{
	return strcmp(line->state, "ready") == 0;
}

bool slot_is_tpm(const struct slot_line *line)
{
	const struct slot_kind *kind = slot_kind_of(line->kind);

	return kind && kind->has_pcrs;
}

bool slot_is_hardware(const struct slot_line *line)
{
	const struct slot_kind *kind = slot_kind_of(line->kind);

	return is_to_stay(line) && kind && kind->is_hardware;
}

bool slot_is_typed(const struct slot_line *line)
{
	return is_to_stay(line) && !slot_is_hardware(line);
}

/* ---- the command ---- */

static json_t *facts_of(const struct wire_message *item)
{
	json_t *object = json_object();

	if (!object || ask_put_facts(wire_list_of(item, WIRE_TAG_ITEMS), object))
		return object;
	json_decref(object);
	return NULL;
}

static int print_json(struct cli *cli)
{
	struct wire_message reply, item;
	json_t *slots = json_array();
	int ending = request(cli, &reply);

	if (ending != CLI_DONE) {
		json_decref(slots);
		return ending;
	}
	struct wire_list items = wire_list_of(&reply, WIRE_TAG_ITEMS);
	while (ask_next(&items, &item))
		if (json_array_append_new(slots, facts_of(&item)) != 0) {
			json_decref(slots);
			return ask_fail_malformed(cli);
		}
	return output_json(json_pack("{s:o}", "slots", slots));
}

static void add(char *text, size_t size, const char *before, const char *what)
{
	size_t used = strlen(text);

	if (what[0] != '\0')
		(void)snprintf(
			text + used, size - used, "%s%s%s", used > 0 ? ", " : "", before, what);
}

static void describe(const struct slot_line *line, char *text, size_t size)
{
	char more[80] = "", ends[WHEN_TEXT_SIZE];

	text[0] = '\0';
	if (line->of > 0 && strcmp(line->state, "staged") == 0)
		(void)snprintf(more, sizeof more, "replaces %llu once it has opened",
			(unsigned long long)line->of);
	if (line->of > 0 && strcmp(line->state, "stand-in") == 0) {
		when_format_local(line->ends_us, ends);
		(void)snprintf(more, sizeof more, "stands in for %llu until %s",
			(unsigned long long)line->of, ends);
	}
	if (line->shares > 0)
		(void)snprintf(more, sizeof more, "%llu of %llu shares",
			(unsigned long long)line->threshold, (unsigned long long)line->shares);
	add(text, size, "", more);
	add(text, size, "key id ", line->key_id);
	add(text, size, "PCRs ", line->pcrs);
	add(text, size, "PCR policy ", line->pcr_policy);
	add(text, size, "PIN ", line->pin);
	add(text, size, "", line->uri);
}

static void print_time(uint64_t time_us)
{
	char text[WHEN_TEXT_SIZE] = "never";

	if (time_us > 0)
		when_format_local(time_us, text);
	printf("  %-19s", text);
}

static int list(struct cli *cli)
{
	struct slot_list slots;
	char text[512 + WIRE_TEXT_MAX];
	int ending;

	if (cli->is_json)
		return print_json(cli);
	ending = slot_list_fetch(cli, &slots);
	if (ending != CLI_DONE)
		return ending;
	printf("%3s  %-15s  %-19s  %-19s  %-19s  %s\n", "id", "kind", "created", "opened", "tested",
		"options");
	for (size_t i = 0; i < slots.count; i++) {
		const struct slot_line *line = &slots.lines[i];

		printf("%3llu  ", (unsigned long long)line->id);
		output_text(line->kind);
		printf("%*s", (int)(strlen(line->kind) < 15 ? 15 - strlen(line->kind) : 0), "");
		print_time(line->created_us);
		print_time(line->opened_us);
		print_time(line->tested_us);
		describe(line, text, sizeof text);
		printf("  ");
		output_text(text);
		(void)putchar('\n');
	}
	return CLI_DONE;
}

const struct command command_slot_list = {
	.name = "slot list",
	.operands = "",
	.summary = "print the ways to the master key",
	.verb = "admin",
	.notes = "Any slot opens the store alone. `opened` is at most a day behind; `tested` is "
		 "when\n"
		 "`slot test` last proved that it opens, or when it was made.",
	.examples = "  mortise slot list",
	.run = list,
};
