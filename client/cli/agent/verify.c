/* SPDX-License-Identifier: ISC */
/* verify: reads all of the store, or of the audit log, in steps that the agent sets. */
#include <stdio.h>

#include "ask.h"
#include "output.h"
#include "progress.h"

static int verify(struct cli *cli)
{
	struct paged totals = {0};
	enum mortise_status status = paged_run(cli, WIRE_VERIFY, &totals);

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
	struct paged totals = {0};
	enum mortise_status status = paged_run(cli, WIRE_AUDIT_VERIFY, &totals);

	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	if (cli->is_json)
		return output_json(json_pack("{s:b, s:o, s:o, s:o*}", "intact", 1, "bytes",
			output_json_number(totals.done), "checkpoints",
			output_json_number(totals.number), "gaps",
			totals.text[0] ? json_string(totals.text) : NULL));
	printf("audit log: intact, %llu bytes, %llu checkpoints\n", (unsigned long long)totals.done,
		(unsigned long long)totals.number);
	if (totals.text[0] != '\0') {
		fputs("but for gaps: ", stdout);
		output_text(totals.text);
		(void)putchar('\n');
	}
	return CLI_DONE;
}

const struct command command_verify = {
	.name = "verify",
	.operands = "",
	.summary = "read the whole store, and say whether it is what was written",
	.verb = "admin",
	.exits = {CLI_INTEGRITY},
	.examples = "  mortise verify",
	.run = verify,
};

const struct command command_audit_verify = {
	.name = "audit verify",
	.operands = "",
	.summary = "check the chain and the signatures of the audit log",
	.verb = "audit",
	.exits = {CLI_INTEGRITY},
	.examples = "  mortise audit verify",
	.run = audit_verify,
};
