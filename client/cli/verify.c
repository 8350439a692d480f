/* SPDX-License-Identifier: ISC */
/* verify: reads all of the store, or of the audit log, in steps that the agent sets. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "output.h"
#include "progress.h"

#define CURSOR_MAX 512

struct totals {
	uint64_t done, total;
	uint64_t number, sum; /* the last step's NUMBER, and that of all steps */
};

static enum mortise_status step(struct cli *cli, enum wire_opcode opcode,
	uint8_t cursor[CURSOR_MAX], size_t *cursor_size, struct totals *totals)
{
	struct wire_writer *writer = client_begin(cli->agent, opcode);
	const struct wire_field *next;
	struct wire_message reply;

	if (*cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, cursor, *cursor_size);
	TRY(client_call(cli->agent, &reply));
	totals->done = ask_number(&reply, WIRE_TAG_DONE, totals->done);
	totals->total = ask_number(&reply, WIRE_TAG_TOTAL, totals->total);
	totals->number = ask_number(&reply, WIRE_TAG_NUMBER, 0);
	totals->sum += totals->number;
	*cursor_size = 0;
	if (!ask_flag(&reply, WIRE_TAG_MORE))
		return MORTISE_OK;
	next = &reply.field[WIRE_TAG_CURSOR];
	if (next->size == 0 || next->size > CURSOR_MAX)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	memcpy(cursor, next->bytes, next->size);
	*cursor_size = next->size;
	return MORTISE_OK;
}

static enum mortise_status run_all(
	struct cli *cli, enum wire_opcode opcode, struct totals *out_totals)
{
	struct progress progress = progress_begin("verified");
	uint8_t cursor[CURSOR_MAX];
	enum mortise_status status;
	size_t cursor_size = 0;

	do {
		status = step(cli, opcode, cursor, &cursor_size, out_totals);
		progress_show(&progress, out_totals->done, out_totals->total);
	} while (status == MORTISE_OK && cursor_size > 0);
	progress_end(&progress);
	return status;
}

static int verify(struct cli *cli)
{
	struct totals totals = {0};
	enum mortise_status status = run_all(cli, WIRE_VERIFY, &totals);

	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	if (cli->is_json)
		return output_json(json_pack(
			"{s:b, s:o}", "intact", 1, "values", output_json_number(totals.sum)));
	printf("store: intact, %llu values\n", (unsigned long long)totals.sum);
	return CLI_DONE;
}

static int audit_verify(struct cli *cli)
{
	struct totals totals = {0};
	enum mortise_status status = run_all(cli, WIRE_AUDIT_VERIFY, &totals);

	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	if (cli->is_json)
		return output_json(json_pack("{s:b, s:o, s:o}", "intact", 1, "bytes",
			output_json_number(totals.done), "checkpoints",
			output_json_number(totals.number)));
	printf("audit log: intact, %llu bytes, %llu checkpoints\n", (unsigned long long)totals.done,
		(unsigned long long)totals.number);
	return CLI_DONE;
}

const struct command command_verify = {
	.name = "verify",
	.operands = "",
	.summary = "read the whole store, and say whether it is what was written",
	.verb = "admin",
	.examples = "  mortise verify",
	.run = verify,
};

const struct command command_audit_verify = {
	.name = "audit verify",
	.operands = "",
	.summary = "check the chain and the signatures of the audit log",
	.verb = "audit",
	.examples = "  mortise audit verify",
	.run = audit_verify,
};
