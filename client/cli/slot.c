/* SPDX-License-Identifier: ISC */
/* slot: remove, test, reseal, suspend, change-pin. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "seal_wish.h"
#include "slot_list.h"
#include "typed.h"

#define SLOT_DEADLINE_MS 120000 /* two operations, each as slow as the hardware may be */

static int report(const struct cli *cli, const struct wire_message *reply, const char *format)
{
	uint64_t named = 0;

	(void)args_number(cli->operands[0], &named);
	uint64_t id = ask_number(reply, WIRE_TAG_NUMBER, named);
	if (cli->is_json)
		return output_json(
			json_pack("{s:b, s:b, s:o}", "changed", ask_flag(reply, WIRE_TAG_CHANGED),
				"dry_run", cli->is_dry_run, "slot", output_json_number(id)));
	if (cli->is_dry_run)
		printf("would: %s slot %s\n", cli->command->name + strlen("slot "),
			cli->operands[0]);
	else
		printf("%s\n", format);
	return CLI_DONE;
}

/* The slot's number, and its PIN if it has one. */
static int begin(struct cli *cli, enum wire_opcode opcode, const struct slot_line *line,
	const char *prompt, struct input *pin)
{
	const char *option = args_has(cli, "tpm2-pin-file") ? "tpm2-pin-file"
			     : args_has(cli, "pin-file")    ? "pin-file"
							    : NULL;
	bool has_pin = line->pin[0] != '\0';
	int ending = CLI_DONE;

	if (!has_pin && option != NULL)
		return output_fail(cli, MORTISE_INVALID, "slot %llu has no PIN; leave out --%s",
			(unsigned long long)line->id, option);
	if (has_pin && !cli->is_dry_run)
		ending = typed_pin(cli, option, prompt, opcode == WIRE_SLOT_CHANGE_PIN, pin);
	if (ending != CLI_DONE)
		return ending;
	struct wire_writer *writer = client_begin(cli->agent, opcode);
	wire_put_number(writer, WIRE_TAG_NUMBER, line->id);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (has_pin && !cli->is_dry_run)
		wire_put(writer, WIRE_TAG_PIN, pin->bytes, pin->size);
	return CLI_DONE;
}

static int call(struct cli *cli, struct wire_message *out_reply)
{
	mortise_set_deadline(cli->agent, SLOT_DEADLINE_MS, cli->wait_ms);
	enum mortise_status status = client_call(cli->agent, out_reply);

	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, NULL);
}

static int test(struct cli *cli)
{
	CLEANUP(input_free) struct input *pin = input_new();
	const struct slot_line *line;
	struct wire_message reply;
	struct slot_list slots;
	int ending = slot_list_find(cli, &slots, &line);

	if (ending != CLI_DONE || pin == NULL)
		return ending != CLI_DONE ? ending : output_fail(cli, MORTISE_IO, "out of memory");
	mortise_set_deadline(cli->agent, SLOT_DEADLINE_MS, cli->wait_ms);
	if (slot_is_typed(line)) {
		const struct typed_call typed = {.opcode = WIRE_SLOT_TEST, .number = line->id};
		ending = typed_key_call(cli, &typed, &reply);
	} else {
		ending = begin(cli, WIRE_SLOT_TEST, line, "PIN", pin);
		if (ending == CLI_DONE)
			ending = call(cli, &reply);
	}
	if (ending != CLI_DONE)
		return ending;
	if (cli->is_json)
		return output_json(
			json_pack("{s:b, s:o}", "opens", 1, "slot", output_json_number(line->id)));
	printf("slot %llu opens\n", (unsigned long long)line->id);
	return CLI_DONE;
}

static int reseal(struct cli *cli)
{
	CLEANUP(input_free) struct input *pin = input_new();
	const struct slot_line *line;
	struct wire_message reply;
	struct slot_list slots;
	char text[160];
	int ending = slot_list_find(cli, &slots, &line);

	if (ending != CLI_DONE || pin == NULL)
		return ending != CLI_DONE ? ending : output_fail(cli, MORTISE_IO, "out of memory");
	ending = begin(cli, WIRE_SLOT_RESEAL, line, "PIN", pin);
	if (ending == CLI_DONE)
		ending = call(cli, &reply);
	if (ending != CLI_DONE)
		return ending;
	uint64_t id = ask_number(&reply, WIRE_TAG_NUMBER, 0);
	(void)snprintf(text, sizeof text,
		"slot %llu is made; it replaces slot %llu when it has opened at the next unseal",
		(unsigned long long)id, (unsigned long long)line->id);
	ending = report(cli, &reply, text);
	if (id > 0 && strcmp(line->kind, "tpm2") == 0)
		seal_wish_warn(cli, id);
	return ending;
}

static int suspend(struct cli *cli)
{
	CLEANUP(input_free) struct input *pin = input_new();
	const struct slot_line *line;
	struct wire_message reply;
	struct slot_list slots;
	uint64_t boots = 1;
	char text[200];
	int ending = args_number_of(cli, "boots", 1, 1, &boots);

	if (ending == CLI_DONE)
		ending = slot_list_find(cli, &slots, &line);
	if (ending != CLI_DONE || pin == NULL)
		return ending != CLI_DONE ? ending : output_fail(cli, MORTISE_IO, "out of memory");
	if (!cli->is_dry_run &&
		!input_confirm(
			cli, "Until then, whatever is booted on this machine can unseal. Go on?"))
		return output_fail(cli, MORTISE_INVALID, "not suspended");
	ending = begin(cli, WIRE_SLOT_SUSPEND, line, "PIN", pin);
	if (ending != CLI_DONE)
		return ending;
	wire_put_number(&cli->agent->writer, WIRE_TAG_BOOTS, boots);
	ending = call(cli, &reply);
	if (ending != CLI_DONE)
		return ending;
	(void)snprintf(text, sizeof text,
		"slot %llu opens without PCRs for %llu boot%s, until 24 hours from now at the "
		"latest; "
		"then slot %llu is resealed",
		(unsigned long long)ask_number(&reply, WIRE_TAG_NUMBER, 0),
		(unsigned long long)boots, boots == 1 ? "" : "s", (unsigned long long)line->id);
	return report(cli, &reply, text);
}

static int change_pin(struct cli *cli)
{
	CLEANUP(input_free) struct input *pin = input_new();
	const struct slot_line *line;
	struct wire_message reply;
	struct slot_list slots;
	int ending = slot_list_find(cli, &slots, &line);

	if (ending != CLI_DONE || pin == NULL)
		return ending != CLI_DONE ? ending : output_fail(cli, MORTISE_IO, "out of memory");
	ending = begin(cli, WIRE_SLOT_CHANGE_PIN, line, "new PIN", pin);
	if (ending == CLI_DONE)
		ending = call(cli, &reply);
	return ending == CLI_DONE
		       ? report(cli, &reply, "the PIN is changed; the old one opens nothing")
		       : ending;
}

/* Removing the last of its sort is a decision, and not taken by a script that did not say so. */
static int confirm_removal(
	struct cli *cli, const struct slot_list *slots, const struct slot_line *line)
{
	char question[200];
	size_t typed = 0, hardware = 0;

	for (size_t i = 0; i < slots->count; i++) {
		typed += slot_is_typed(&slots->lines[i]);
		hardware += slot_is_hardware(&slots->lines[i]);
	}
	bool is_last_typed = slot_is_typed(line) && typed == 1;
	bool is_last_hardware = slot_is_hardware(line) && hardware == 1;
	if (is_last_typed)
		(void)snprintf(question, sizeof question,
			"Slot %llu is the last key that can be typed: if the hardware fails, all "
			"is "
			"lost. Remove it?",
			(unsigned long long)line->id);
	else if (is_last_hardware)
		(void)snprintf(question, sizeof question,
			"Slot %llu is the last hardware: nothing unseals by itself any more. "
			"Remove it?",
			(unsigned long long)line->id);
	else
		(void)snprintf(question, sizeof question, "Remove slot %llu (%s)?",
			(unsigned long long)line->id, line->kind);
	if ((is_last_typed || is_last_hardware) && !cli->is_yes &&
		(cli->is_json || !isatty(STDIN_FILENO)))
		return output_fail(cli, MORTISE_INVALID,
			"slot %llu is the last %s; say --yes to remove it all the same",
			(unsigned long long)line->id,
			is_last_typed ? "one whose key can be typed" : "hardware slot");
	return input_confirm(cli, question) ? CLI_DONE
					    : output_fail(cli, MORTISE_INVALID, "not removed");
}

static int remove_slot(struct cli *cli)
{
	const struct slot_line *line;
	struct wire_message reply;
	struct slot_list slots;
	int ending = slot_list_find(cli, &slots, &line);

	if (ending == CLI_DONE && !cli->is_dry_run)
		ending = confirm_removal(cli, &slots, line);
	if (ending != CLI_DONE)
		return ending;
	struct wire_writer *writer = client_begin(cli->agent, WIRE_SLOT_REMOVE);
	wire_put_number(writer, WIRE_TAG_NUMBER, line->id);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	ending = call(cli, &reply);
	return ending == CLI_DONE ? report(cli, &reply, "removed") : ending;
}

#define PIN_OPTIONS                                                                                \
	{"tpm2-pin-file", 0, "F", "read the PIN from F; - asks on a terminal"},                    \
	{                                                                                          \
		"pin-file", 0, "F", "the same for a PKCS #11 token"                                \
	}

static const struct option pin_options[] = {PIN_OPTIONS, {0}};

static const struct option suspend_options[] = {
	{"boots", 0, "N", "for so many boots; 1 without it"}, PIN_OPTIONS, {0}};

static const struct option test_options[] = {
	{"recovery", 0, NULL, "ask for the key, or its shares, on the terminal (the default)"},
	{"recovery-file", 0, "F", "read the key, or shares, from F; - is standard input"},
	PIN_OPTIONS,
	{0},
};

const struct command command_slot_test = {
	.name = "slot test",
	.operands = "ID",
	.summary = "prove that a slot opens, and change nothing but the date of its last test",
	.options = test_options,
	.least = 1,
	.most = 1,
	.exits = {CLI_NOT_FOUND, CLI_CONFLICT},
	.verb = "admin",
	.notes = "A recovery slot is tested by typing its key; a wrong PIN is tried once.",
	.examples = "  mortise slot test 1\n"
		    "  mortise slot test 2 --recovery-file=/mnt/stick/recovery",
	.run = test,
};

const struct command command_slot_reseal = {
	.name = "slot reseal",
	.operands = "ID",
	.summary = "seal to the PCR values of now",
	.options = pin_options,
	.least = 1,
	.most = 1,
	.exits = {CLI_NOT_FOUND, CLI_CONFLICT},
	.changes_something = true,
	.verb = "admin",
	.notes = "The new seal stays beside the old one, which goes when the new one has opened at "
		 "an\n"
		 "unseal. A reseal ends a suspension.",
	.examples = "  mortise slot reseal 1",
	.run = reseal,
};

const struct command command_slot_suspend = {
	.name = "slot suspend",
	.operands = "ID",
	.summary = "before a firmware update: unseal without PCRs once",
	.options = suspend_options,
	.least = 1,
	.most = 1,
	.exits = {CLI_NOT_FOUND, CLI_CONFLICT},
	.changes_something = true,
	.verb = "admin",
	.notes = "For a slot that is bound to PCR values (--pcrs). Makes a seal without them "
		 "beside it,\n"
		 "which opens at the next boot and then goes, or after 24 hours; the slot is "
		 "resealed\n"
		 "to the values of then. Whoever copies the disk meanwhile, and has this machine, "
		 "can\n"
		 "open that copy.",
	.examples = "  mortise slot suspend 1 --boots=1 && fwupdmgr update && reboot",
	.run = suspend,
};

const struct command command_slot_change_pin = {
	.name = "slot change-pin",
	.operands = "ID",
	.summary = "give a TPM slot another PIN",
	.options = pin_options,
	.least = 1,
	.most = 1,
	.exits = {CLI_NOT_FOUND, CLI_CONFLICT},
	.changes_something = true,
	.verb = "admin",
	.notes = "The old PIN is not needed, since the agent is unsealed, and opens nothing "
		 "afterwards,\n"
		 "but for an older copy of the disk. A token's PIN is changed with the token's "
		 "tool.",
	.examples = "  mortise slot change-pin 1",
	.run = change_pin,
};

const struct command command_slot_remove = {
	.name = "slot remove",
	.operands = "ID",
	.summary = "let a slot open the store no more",
	.least = 1,
	.most = 1,
	.exits = {CLI_NOT_FOUND, CLI_CONFLICT},
	.changes_something = true,
	.verb = "admin",
	.notes = "The last slot cannot be removed. An older copy of the disk still opens by the "
		 "slot:\n"
		 "if its key is in wrong hands, the values that it protected are to be changed.",
	.examples = "  mortise slot remove 3",
	.run = remove_slot,
};
