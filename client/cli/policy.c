/* SPDX-License-Identifier: ISC */
/* policy show: the policy in force, or an older one. */
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "policy_change.h"

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

	if (args_number_of(cli, "version", 1, 0, &version) != CLI_DONE)
		return CLI_USAGE;
	out = open_memstream(&text, &size);
	if (out == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	ending = policy_fetch(cli, out, &version);
	if (fclose(out) != 0 && ending == CLI_DONE)
		ending = output_fail(cli, MORTISE_IO, "out of memory");
	if (ending == CLI_DONE && cli->is_json)
		ending = output_json(json_pack("{s:o, s:o}", "version", output_json_number(version),
			"policy", output_json_shown(text, size)));
	else if (ending == CLI_DONE)
		output_lines(text, size);
	free(text);
	return ending;
}

static const struct option show_options[] = {
	{"version", 0, "N", "that version, not the current one"}, {0}};

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
