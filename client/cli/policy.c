/* SPDX-License-Identifier: ISC */
/* policy: show and check. The agent alone judges. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "policy_change.h"
#include "suggest.h"

static const char *const verbs[] = {
	"read", "list", "write", "delete", "rotate", "audit", "admin", NULL};

/* The first answer tells the version; the others are asked for that one. */
static enum mortise_status request_show(
	struct cli *cli, uint64_t version, uint64_t offset, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_POLICY_SHOW);

	if (version > 0)
		wire_put_number(writer, WIRE_TAG_VERSION, version);
	wire_put_number(writer, WIRE_TAG_OFFSET, offset);
	return client_call(cli->agent, out_reply);
}

int policy_fetch(struct cli *cli, FILE *out, uint64_t *version)
{
	struct wire_message reply;
	uint64_t offset = 0;

	do {
		enum mortise_status status = request_show(cli, *version, offset, &reply);
		const struct wire_field *chunk = &reply.field[WIRE_TAG_CHUNK];

		if (status != MORTISE_OK)
			return ask_fail(cli, status, NULL);
		if (chunk->size == 0 && ask_flag(&reply, WIRE_TAG_MORE))
			return ask_fail_malformed(cli);
		if (chunk->size > 0 && fwrite(chunk->bytes, 1, chunk->size, out) != chunk->size)
			return output_fail(
				cli, MORTISE_IO, "cannot keep the policy: out of memory");
		offset += chunk->size;
		*version = ask_number(&reply, WIRE_TAG_VERSION, *version);
	} while (ask_flag(&reply, WIRE_TAG_MORE));
	return CLI_DONE;
}

static int show(struct cli *cli)
{
	uint64_t version;
	char *text = NULL;
	size_t size = 0;
	FILE *out;
	int ending;

	if (args_number_of(cli, "version", 0, &version) != CLI_DONE)
		return CLI_USAGE;
	out = open_memstream(&text, &size);
	if (out == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	ending = policy_fetch(cli, out, &version);
	if (fclose(out) != 0 && ending == CLI_DONE)
		ending = output_fail(cli, MORTISE_IO, "out of memory");
	if (ending == CLI_DONE && cli->is_json)
		ending = output_json(json_pack("{s:o, s:o}", "version", output_json_number(version),
			"policy", output_json_text(text, size)));
	else if (ending == CLI_DONE)
		(void)fwrite(text, 1, size, stdout);
	free(text);
	return ending;
}

static int refuse_verb(const struct cli *cli, const char *word)
{
	struct suggest nearest = {.word = word};

	for (int i = 0; verbs[i] != NULL; i++)
		suggest_consider(&nearest, verbs[i]);
	return output_fail(cli, MORTISE_INVALID, "no verb '%s'; %s%s%s", word,
		nearest.found != NULL ? "did you mean "
				      : "verbs are read, list, write, delete, "
					"rotate, audit and admin",
		nearest.found != NULL ? nearest.found : "", nearest.found != NULL ? "?" : "");
}

static bool is_verb(const char *word)
{
	for (int i = 0; verbs[i] != NULL; i++)
		if (strcmp(verbs[i], word) == 0)
			return true;
	return false;
}

static int report_check(const struct cli *cli, const struct wire_message *reply)
{
	bool is_allowed = ask_flag(reply, WIRE_TAG_NUMBER);
	int ending = is_allowed ? CLI_DONE : CLI_FOUND;
	char text[WIRE_TEXT_MAX] = "", rule[256] = "";
	int printed;

	if (!wire_has(reply, WIRE_TAG_NUMBER))
		return ask_fail_malformed(cli);
	if (wire_text(reply, WIRE_TAG_TEXT, text, sizeof text) != MORTISE_OK)
		memcpy(text, is_allowed ? "allowed" : "denied", is_allowed ? 8 : 7);
	if (wire_has(reply, WIRE_TAG_RULE) &&
		wire_text(reply, WIRE_TAG_RULE, rule, sizeof rule) != MORTISE_OK)
		return ask_fail_malformed(cli);
	if (!cli->is_json) {
		output_text(text);
		(void)putchar('\n');
		return ending;
	}
	printed = output_json(json_pack("{s:b, s:s?, s:s}", "allowed", is_allowed, "rule",
		rule[0] != '\0' ? rule : NULL, "text", text));
	return printed == CLI_DONE ? ending : printed;
}

static int check(struct cli *cli)
{
	const char *user = args_value(cli, "user"), *group = args_value(cli, "group");
	struct ask_path path = {""};
	struct wire_message reply;
	enum mortise_status status;
	struct wire_writer *writer;

	if (!is_verb(cli->operands[0]))
		return refuse_verb(cli, cli->operands[0]);
	if (cli->operand_count == 2) {
		int ending = ask_expand(cli, cli->operands[1], &path);

		if (ending != CLI_DONE)
			return ending;
	}
	writer = client_begin(cli->agent, WIRE_POLICY_CHECK);
	if (cli->operand_count == 2)
		wire_put_text(writer, WIRE_TAG_PATH, path.text);
	if (user != NULL)
		wire_put_text(writer, WIRE_TAG_USER, user);
	if (group != NULL)
		wire_put_text(writer, WIRE_TAG_GROUP, group);
	wire_put_text(writer, WIRE_TAG_VERB, cli->operands[0]);
	status = client_call(cli->agent, &reply);
	return status == MORTISE_OK ? report_check(cli, &reply) : ask_fail(cli, status, NULL);
}

static const struct option show_options[] = {
	{"version", 0, "N", "that version, not the current one"}, {0}};

static const struct option check_options[] = {
	{"user", 'u', "U", "for this user, by name or number, not for you"},
	{"group", 'g', "G", "with this group besides the user's own"},
	{0},
};

const struct command command_policy_show = {
	.name = "policy show",
	.operands = "",
	.summary = "print the policy",
	.options = show_options,
	.verb = "admin",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND},
	.examples = "  mortise policy show",
	.run = show,
};

const struct command command_policy_check = {
	.name = "policy check",
	.operands = "VERB [PATH]",
	.summary = "say whether someone may, and by which rule",
	.options = check_options,
	.least = 1,
	.most = 2,
	.verb = "admin",
	.exits = {CLI_FOUND},
	.notes = "Verbs are read, list, write, delete, rotate, audit and admin. Exit status 1 if\n"
		 "it is denied.",
	.examples = "  mortise policy check read prod/db/password\n"
		    "  mortise policy check --user=backup read prod/db/password",
	.run = check,
};
