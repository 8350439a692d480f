/* SPDX-License-Identifier: ISC */
/* policy check: may someone, and why. The agent alone judges. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "policy_grants.h"
#include "suggest.h"
#include "verbs.h"
#include "when.h"

static int refuse_verb(const struct cli *cli, const char *word)
{
	struct suggest nearest = {.word = word};
	char words[VERB_WORDS_SIZE];

	for (size_t i = 0; i < VERB_COUNT; i++)
		suggest_consider(&nearest, verb_rows[i].name);
	if (nearest.found)
		return output_fail(cli, MORTISE_INVALID, "no verb '%s'; did you mean %s?", word,
			nearest.found);
	return output_fail(cli, MORTISE_INVALID, "no verb '%s'; verbs are %s", word,
		verb_words(verbs_all(), "and", words));
}

struct near {
	char rule[256], why[WIRE_TEXT_MAX];
};

static bool next_near(struct wire_list *items, struct near *near)
{
	struct wire_message item;

	return ask_next(items, &item) &&
	       wire_text(&item, WIRE_TAG_RULE, near->rule, sizeof near->rule) == MORTISE_OK &&
	       wire_text(&item, WIRE_TAG_TEXT, near->why, sizeof near->why) == MORTISE_OK;
}

static int print_json(
	const struct wire_message *reply, bool is_allowed, const char *text, const char *rule)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	json_t *nearest = json_array();
	struct near near;

	while (next_near(&items, &near))
		(void)json_array_append_new(
			nearest, json_pack("{s:o, s:o}", "rule", output_json_said(near.rule), "why",
					 output_json_said(near.why)));
	return output_json(json_pack("{s:b, s:o?, s:o, s:o}", "allowed", is_allowed, "rule",
		rule[0] != '\0' ? output_json_said(rule) : NULL, "text", output_json_said(text),
		"nearest", nearest));
}

static void print_text(const struct wire_message *reply, const char *text)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	struct near near;

	output_text(text);
	(void)putchar('\n');
	while (next_near(&items, &near)) {
		(void)fputs("  rule ", stdout);
		output_text(near.rule);
		(void)fputs(": ", stdout);
		output_text(near.why);
		(void)putchar('\n');
	}
}

static int report(const struct cli *cli, const struct wire_message *reply)
{
	bool is_allowed = ask_flag(reply, WIRE_TAG_NUMBER);
	int ending = is_allowed ? CLI_DONE : CLI_FOUND, printed;
	char text[WIRE_TEXT_MAX] = "", rule[256] = "";

	if (!wire_has(reply, WIRE_TAG_NUMBER) ||
		wire_text(reply, WIRE_TAG_TEXT, text, sizeof text) != MORTISE_OK ||
		(wire_has(reply, WIRE_TAG_RULE) &&
			wire_text(reply, WIRE_TAG_RULE, rule, sizeof rule) != MORTISE_OK))
		return ask_fail_malformed(cli);
	if (!cli->is_json) {
		print_text(reply, text);
		return ending;
	}
	printed = print_json(reply, is_allowed, text, rule);
	return printed == CLI_DONE ? ending : printed;
}

static int read_time(const struct cli *cli, uint64_t *out_time_us)
{
	const char *text = args_value(cli, "at");

	*out_time_us = 0;
	if (!text || when_parse_time(text, when_now_us(), out_time_us))
		return CLI_DONE;
	return output_fail(cli, MORTISE_INVALID,
		"--at=%s: not a time, such as 2026-11-23T02:30 or 2026-11-23T02:30Z", text);
}

static int check(struct cli *cli)
{
	struct policy_caller caller = {0};
	struct ask_path path = {""};
	struct wire_message reply;
	enum mortise_status status;
	struct wire_writer *writer;
	uint64_t at_us;
	int ending;

	if (verb_of_name(cli->operands[0]) == 0)
		return refuse_verb(cli, cli->operands[0]);
	ending = policy_caller_read(cli, &caller);
	if (ending == CLI_DONE)
		ending = read_time(cli, &at_us);
	if (ending == CLI_DONE && cli->operand_count == 2)
		ending = ask_expand(cli, cli->operands[1], &path);
	if (ending != CLI_DONE)
		return ending;
	writer = client_begin(cli->agent, WIRE_POLICY_CHECK);
	if (cli->operand_count == 2)
		wire_put_text(writer, WIRE_TAG_PATH, path.text);
	policy_caller_put(writer, &caller, WIRE_TAG_PATH, WIRE_TAG_VERB);
	wire_put_text(writer, WIRE_TAG_VERB, cli->operands[0]);
	if (at_us > 0)
		wire_put_number(writer, WIRE_TAG_TIME, at_us);
	policy_caller_put(writer, &caller, WIRE_TAG_TIME, UINT_MAX);
	status = client_call(cli->agent, &reply);
	return status == MORTISE_OK ? report(cli, &reply) : ask_fail(cli, status, NULL);
}

static const struct option options[] = {
	{"at", 0, "TIME", "then, not now: 2026-11-23T02:30, or with a Z"},
	POLICY_CALLER_OPTIONS,
};

const struct command command_policy_check = {
	.name = "policy check",
	.operands = "VERB [PATH]",
	.summary = "say whether someone may, by which rule, or what kept them out",
	.options = options,
	.least = 1,
	.most = 2,
	.verb = "admin",
	.exits = {CLI_FOUND},
	.notes =
		"Verbs are read, list, write, delete, rotate, audit and admin. Without --user it "
		"is\n"
		"about you, as the agent sees you, but for what you say. Of somebody else what is\n"
		"not said is nothing that a rule could name; ? is what cannot be found out.\n"
		"Exit status 0 if it is allowed, 1 if not; 77 if you may not ask.",
	.examples =
		"  mortise policy check read prod/db/password\n"
		"  mortise policy check --user=backup --unit=backup.service read prod/db/password\n"
		"  mortise policy check --user=backup --at=2026-11-23T02:30 read prod/db/password",
	.run = check,
};
