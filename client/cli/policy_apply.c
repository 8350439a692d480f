/* SPDX-License-Identifier: ISC */
/* policy apply, rollback and reset: where the new policy comes from. */
#include "args.h"
#include "input.h"
#include "policy_units.h"
#include "typed.h"

static int apply(struct cli *cli)
{
	CLEANUP(policy_files_drop) struct policy_files files = {.count = 0};
	const struct policy_change change = {
		.opcode = WIRE_POLICY_APPLY, .send = policy_files_send, .context = &files};
	int ending = policy_files_read(
		cli, cli->operand_count == 1 ? cli->operands[0] : POLICY_DIRECTORY, &files);

	if (ending != CLI_DONE)
		return ending;
	policy_units_warn(cli, &files);
	return policy_change(cli, &change);
}

static int rollback(struct cli *cli)
{
	struct policy_change change = {.opcode = WIRE_POLICY_ROLLBACK};

	if (args_number_of(cli, "to", 1, 0, &change.version) != CLI_DONE)
		return CLI_USAGE;
	return policy_change(cli, &change);
}

static int reset(struct cli *cli)
{
	CLEANUP(input_free) struct input *input = input_new();
	struct policy_change change = {.opcode = WIRE_POLICY_RESET};
	int ending = typed_key(cli, input, &change.key, &change.key_size);

	return ending == CLI_DONE ? policy_change(cli, &change) : ending;
}

static const struct option apply_options[] = {POLICY_FORCE_OPTION, {0}};

static const struct option rollback_options[] = {
	{"to", 0, "N", "to version N, not the one before"},
	POLICY_FORCE_OPTION,
	{0},
};

static const struct option reset_options[] = {
	{"recovery-file", 0, "F", "read the recovery key from F; - is standard input"},
	{0},
};

const struct command command_policy_apply = {
	.name = "policy apply",
	.operands = "[FILE|DIRECTORY|-]",
	.summary = "make files the policy, all or nothing",
	.options = apply_options,
	.most = 1,
	.changes_something = true,
	.verb = "admin",
	.exits = {CLI_CONFLICT, CLI_REJECTED},
	.notes = "Of a directory (" POLICY_DIRECTORY " without an operand) the files *.policy are\n"
		 "applied, in the order of their names. First it shows who may do more or less\n"
		 "than before, and what is odd; on a terminal it asks.",
	.examples = "  mortise policy apply --dry-run\n"
		    "  mortise policy apply site.policy",
	.run = apply,
};

const struct command command_policy_rollback = {
	.name = "policy rollback",
	.operands = "",
	.summary = "apply an earlier version of the policy again",
	.options = rollback_options,
	.changes_something = true,
	.verb = "admin",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT, CLI_REJECTED},
	.notes = "It becomes a new version; names are looked up anew. Ten versions are kept:\n"
		 "mortise policy show --version=N.",
	.examples = "  mortise policy rollback\n"
		    "  mortise policy rollback --to=3",
	.run = rollback,
};

const struct command command_policy_reset = {
	.name = "policy reset",
	.operands = "",
	.summary = "bring back the first policy, with the recovery key",
	.options = reset_options,
	.changes_something = true,
	.exits = {CLI_CONFLICT},
	.notes = "For operators whom the policy has locked out. The first policy lets one user do\n"
		 "everything, and nobody else anything.",
	.examples = "  mortise policy reset\n"
		    "  mortise policy reset --recovery-file=/media/usb/recovery",
	.run = reset,
};
