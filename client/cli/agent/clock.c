/* SPDX-License-Identifier: ISC */
/* clock: whether the agent believes the time, and an admin's word for it. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"

#define FACTS_MAX 4096

/* The facts of the status that are about the clock. */
struct clock_facts {
	uint8_t frame[FACTS_MAX];
	struct wire_message message;
	bool is_believed;
};

static bool is_about_clock(const struct wire_field *field, bool *is_believed)
{
	char name[64] = "", text[WIRE_TEXT_MAX];
	struct wire_message item;

	if (wire_parse_fields(field->bytes, field->size, &item) != MORTISE_OK ||
		wire_text(&item, WIRE_TAG_NAME, name, sizeof name) != MORTISE_OK)
		return false;
	if (strcmp(name, "clock") == 0 &&
		wire_text(&item, WIRE_TAG_TEXT, text, sizeof text) == MORTISE_OK)
		*is_believed = strcmp(text, "believed") == 0;
	return strncmp(name, "clock", 5) == 0;
}

/* False if there are none: whoever asks may not know. */
static bool take_facts(struct wire_list facts, struct clock_facts *out)
{
	struct wire_writer writer;
	struct wire_field field;
	bool found = false;

	wire_begin(&writer, out->frame, sizeof out->frame, 0, 0);
	size_t list = wire_list_begin(&writer, WIRE_TAG_ITEMS);
	while (wire_list_next(&facts, &field))
		if (is_about_clock(&field, &out->is_believed)) {
			wire_item_put(&writer, field.bytes, field.size);
			found = true;
		}
	wire_list_end(&writer, list);
	size_t size = wire_finish(&writer);
	return found && wire_parse(out->frame, size, &out->message) == MORTISE_OK;
}

static int print(const struct cli *cli, const struct clock_facts *kept)
{
	struct wire_list facts = wire_list_of(&kept->message, WIRE_TAG_ITEMS);
	json_t *object;

	if (!cli->is_json)
		return ask_print_facts(facts) ? CLI_DONE : ask_fail_malformed(cli);
	object = json_object();
	if (object && ask_put_facts(facts, object))
		return output_json(object);
	json_decref(object);
	return ask_fail_malformed(cli);
}

static int show(struct cli *cli)
{
	struct clock_facts facts = {.is_believed = false};
	struct wire_message reply;

	(void)client_begin(cli->agent, WIRE_STATUS);
	enum mortise_status status = client_call(cli->agent, &reply);
	if (status == MORTISE_OK && !take_facts(wire_list_of(&reply, WIRE_TAG_ITEMS), &facts))
		status = MORTISE_DENIED;
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	int ending = print(cli, &facts);
	return ending == CLI_DONE && !facts.is_believed ? CLI_FOUND : ending;
}

static int accept(struct cli *cli)
{
	const char *note = args_value(cli, "note");
	struct wire_message reply;

	if (!note)
		return output_fail(cli, MORTISE_INVALID,
			"why is this clock right? say it with --note=TEXT; it goes on record");
	struct wire_writer *writer = client_begin(cli->agent, WIRE_CLOCK_ACCEPT);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	wire_put_text(writer, WIRE_TAG_NOTE, note);
	enum mortise_status status = client_call(cli->agent, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	bool is_changed = ask_flag(&reply, WIRE_TAG_CHANGED);
	if (cli->is_json)
		return output_json(
			json_pack("{s:b, s:b}", "changed", is_changed, "dry_run", cli->is_dry_run));
	puts(!is_changed          ? "the clock is believed already"
		: cli->is_dry_run ? "would be believed"
				  : "the clock is believed");
	return CLI_DONE;
}

const struct command command_clock_show = {
	.name = "clock show",
	.operands = "",
	.summary = "say whether the agent believes the clock, and why not",
	.verb = "admin",
	.exits = {CLI_FOUND},
	.notes = "Exit status 1: it is not believed.",
	.examples = "  mortise clock show",
	.run = show,
};

static const struct option accept_options[] = {
	{"note", 0, "TEXT", "why it is right; on record"},
	{0},
};

const struct command command_clock_accept = {
	.name = "clock accept",
	.operands = "",
	.summary = "tell the agent that the clock is right as it is",
	.options = accept_options,
	.verb = "admin",
	.changes_something = true,
	.exits = {CLI_CONFLICT},
	.notes = "Look at the clock first (date): by it rules expire, and what was deleted is\n"
		 "purged. A clock that is synchronised needs no such word.",
	.examples = "  mortise clock accept --note='no NTP here; set by hand after three days off'",
	.run = accept,
};
