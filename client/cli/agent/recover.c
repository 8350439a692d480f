/* SPDX-License-Identifier: ISC */
/* recover: one guided way back, with the recovery key. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "backup.h"
#include "input.h"
#include "output.h"
#include "seal_wish.h"
#include "slot_list.h"
#include "typed_key.h"

#define RECOVER_DEADLINE_MS 120000

/* Why it does not open, before the key is asked for. */
static int explain(struct cli *cli)
{
	char state[32], reason[WIRE_TEXT_MAX];
	enum mortise_status status = ask_fact(cli, "state", state, sizeof state);

	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	if (strcmp(state, "unsealed") == 0)
		return output_fail(cli, MORTISE_CONFLICT,
			"it is unsealed: there is nothing to recover from; to go back to a backup, "
			"run first: mortise seal");
	if (!cli->is_json && ask_fact(cli, "reason", reason, sizeof reason) == MORTISE_OK)
		output_note("%s: %s", state, reason);
	return CLI_DONE;
}

static bool is_agreed(const struct cli *cli, const char *kind, const char *backup)
{
	char question[512];

	(void)snprintf(question, sizeof question,
		"%s%sThe hardware that opened the store goes, %s. Recover?",
		backup ? "What is in the store now gives way to the backup. " : "",
		backup ? "" : "It is opened as it is, however old. ",
		strcmp(kind, "none") == 0 ? "and none comes" : "and this host's comes instead");
	return input_confirm(cli, question);
}

static int report(const struct cli *cli, const struct wire_message *reply)
{
	char text[WIRE_TEXT_MAX] = "";

	if (cli->is_dry_run) {
		if (cli->is_json)
			return output_json(json_pack("{s:b, s:b}", "changed", 1, "dry_run", 1));
		puts("the key opens it; would recover");
		return CLI_DONE;
	}
	(void)!wire_text(reply, WIRE_TAG_TEXT, text, sizeof text); /* "": it is done all the same */
	if (cli->is_json)
		return output_json(json_pack("{s:b, s:b, s:o}", "changed", 1, "dry_run", 0, "done",
			output_json_said(text)));
	printf("recovered and unsealed: ");
	output_text(text);
	puts("\nIt may be older than you think: look at mortise list and mortise policy show.");
	return CLI_DONE;
}

/* Of what was enrolled, which is all the hardware that there is now. */
static void warn_of_slots(struct cli *cli)
{
	struct slot_list slots;

	if (slot_list_ask(cli, &slots) != MORTISE_OK)
		return; /* an operator's verb is recover, and no more */
	for (size_t i = 0; i < slots.count; i++)
		if (slot_is_tpm(&slots.lines[i]))
			seal_wish_warn(cli, slots.lines[i].id);
}

static int ask(struct cli *cli, const struct seal_wish *wish, const char *backup)
{
	const struct typed_call call = {
		.opcode = WIRE_RECOVER, .number = backup != NULL, .wish = wish};
	struct paged totals = {0};
	struct wire_message reply;
	int ending = backup ? backup_bring(cli, backup, &totals) : CLI_DONE;

	mortise_set_deadline(cli->agent, RECOVER_DEADLINE_MS, cli->wait_ms);
	if (ending == CLI_DONE)
		ending = typed_key_call(cli, &call, &reply);
	client_unpin(cli->agent);
	if (ending == CLI_DONE)
		ending = report(cli, &reply);
	if (ending == CLI_DONE && !cli->is_dry_run)
		warn_of_slots(cli);
	return ending;
}

static int recover_from(struct cli *cli, const char *backup)
{
	CLEANUP(seal_wish_done) struct seal_wish wish = {.kind = NULL};
	const char *kind = "tpm2";
	int ending = seal_wish_kind(cli, &kind);

	if (ending == CLI_DONE && backup && !args_has(cli, "recovery-file") &&
		!args_has(cli, "recovery"))
		ending = output_fail(cli, MORTISE_INVALID,
			"a backup is opened by its recovery key: use --recovery, or "
			"--recovery-file=F");
	if (ending == CLI_DONE)
		ending = explain(cli);
	if (ending == CLI_DONE)
		ending = seal_wish_read(cli, kind, &wish);
	if (ending != CLI_DONE)
		return ending;
	if (!cli->is_dry_run && !is_agreed(cli, kind, backup))
		return output_fail(cli, MORTISE_INVALID, "nothing is recovered");
	return ask(cli, &wish, backup);
}

static int recover(struct cli *cli)
{
	return recover_from(cli, args_value(cli, "backup"));
}

static int restore(struct cli *cli)
{
	return recover_from(cli, cli->operands[0]);
}

#define HARDWARE_OPTIONS                                                                           \
	{"recovery", 0, NULL, "ask for the recovery key on the terminal"},                         \
		{"recovery-file", 0, "F", "read the recovery key, or shares of it, from F"},       \
		{"tpm2", 0, NULL, "bind the store to this host's TPM from now on (the default)"},  \
		{"no-hardware", 0, NULL, "from now on only keys that are typed open it"},          \
		SEAL_OPTIONS,                                                                      \
	{                                                                                          \
		"no-anchor", 0, NULL,                                                              \
			"make no counter in the TPM: an old copy of the store is not noticed"      \
	}

static const struct option restore_options[] = {HARDWARE_OPTIONS, {0}};

static const struct option options[] = {
	{"backup", 0, "F", "put this backup in the store's place; - is standard input"},
	HARDWARE_OPTIONS,
	{0},
};

const struct command command_recover = {
	.name = "recover",
	.operands = "",
	.summary = "open a store whose hardware does not, and bind it to this host's",
	.options = options,
	.changes_something = true,
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT},
	.notes = "For another board, a cleared TPM, an old or restored copy of the store, or a "
		 "backup:\n"
		 "the recovery key opens it, this host's hardware is enrolled, and the slots of "
		 "hardware\n"
		 "that was there before go. It can be repeated. What it did is on record. Where "
		 "the store\n"
		 "is damaged, it can come from a backup only. " SEAL_NOTES,
	.examples = "  mortise recover\n"
		    "  mortise recover --recovery-file=key --backup=/mnt/backup/mortise.db\n"
		    "  mortise recover --no-hardware",
	.run = recover,
};

const struct command command_backup_restore = {
	.name = "backup restore",
	.operands = "FILE",
	.summary = "put a backup in the store's place, and bind it to this host's hardware",
	.options = restore_options,
	.least = 1,
	.most = 1,
	.changes_something = true,
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_CONFLICT},
	.notes =
		"The same as: mortise recover --backup=FILE. The agent must be sealed, or have no\n"
		"store yet. The store that was there stays aside as store.db.replaced.",
	.examples = "  mortise backup restore --recovery /mnt/backup/mortise.db\n"
		    "  mortise backup restore --recovery-file=key --no-hardware web1.mortise",
	.run = restore,
};
