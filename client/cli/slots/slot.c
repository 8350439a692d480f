/* SPDX-License-Identifier: ISC */
/* slot: remove, test, reseal, suspend, change-pin. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "output_file.h"
#include "seal_wish.h"
#include "slot_kinds.h"
#include "slot_list.h"
#include "typed.h"
#include "typed_key.h"

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

	if (!has_pin && option)
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

	if (ending != CLI_DONE || !pin)
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

	if (ending != CLI_DONE || !pin)
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
	if (id > 0 && slot_is_tpm(line))
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
	if (ending != CLI_DONE || !pin)
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

	if (ending != CLI_DONE || !pin)
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

/* Slot add, slot escrow-key. */

#define SHARES_MAX 16
#define KEY_MAX    128
#define KEY_ID_MAX 16

static int report_new(const struct cli *cli, const struct wire_message *reply, const char *key_id,
	bool goes_to_error)
{
	uint64_t id = ask_number(reply, WIRE_TAG_NUMBER, 0);

	if (cli->is_json)
		return output_json(json_pack("{s:b, s:b, s:o?, s:s?}", "changed",
			ask_flag(reply, WIRE_TAG_CHANGED), "dry_run", cli->is_dry_run, "slot",
			id > 0 ? output_json_number(id) : NULL, "recovery_key_id", key_id));
	if (cli->is_dry_run)
		puts("would add a slot");
	else
		fprintf(goes_to_error ? stderr : stdout, "slot %llu is added%s%s\n",
			(unsigned long long)id, key_id ? "; key id " : "", key_id ? key_id : "");
	return CLI_DONE;
}

static enum mortise_status call_new(struct cli *cli, struct wire_message *out_reply)
{
	mortise_set_deadline(cli->agent, SLOT_DEADLINE_MS, cli->wait_ms);
	return client_call(cli->agent, out_reply);
}

static int add_hardware(struct cli *cli, const char *kind)
{
	CLEANUP(seal_wish_done) struct seal_wish wish = {.pin = NULL};
	struct wire_message reply;
	int ending = seal_wish_read(cli, kind, &wish);

	if (ending != CLI_DONE)
		return ending;
	seal_wish_put(cli, &wish, client_begin(cli->agent, WIRE_SLOT_ADD));
	enum mortise_status status = call_new(cli, &reply);
	uint64_t id = ask_number(&reply, WIRE_TAG_NUMBER, 0);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	ending = report_new(cli, &reply, NULL, false);
	if (id > 0 && slot_kind_of(kind)->has_pcrs)
		seal_wish_warn(cli, id);
	return ending;
}

/* The lines of the reply that are told once: the key, or its shares. */
static size_t secret_lines(const struct wire_message *reply, struct key_line lines[SHARES_MAX])
{
	struct wire_list list = wire_list_of(reply, WIRE_TAG_SHARES);
	struct wire_field field;
	size_t count = 0;

	if (wire_has(reply, WIRE_TAG_RECOVERY)) {
		field = *wire_field_of(reply, WIRE_TAG_RECOVERY);
		lines[count++] = (struct key_line){(const char *)field.bytes, field.size};
	}
	while (count < SHARES_MAX && wire_list_next(&list, &field))
		lines[count++] = (struct key_line){(const char *)field.bytes, field.size};
	return count;
}

static enum mortise_status keep(struct key_file *file, const struct wire_message *reply,
	const char *what, const char *key_id)
{
	struct key_line lines[SHARES_MAX];
	size_t count = secret_lines(reply, lines);
	char comment[400], before[200];

	(void)snprintf(comment, sizeof comment,
		"# %s of a mortise store, with the id %s.\n"
		"# To use it: mortise unseal --recovery. Keep it away from the host.\n",
		what, key_id);
	(void)snprintf(before, sizeof before, "\n%s, with the id %s. This is shown once:\n\n", what,
		key_id);
	return key_file_keep(file, comment, before, lines, count,
		"\nWrite it down, and keep it away from the host.\n\n");
}

/* What was made is of no use if nobody has it: whoever asked is told to remove it. */
static int fail_kept(const struct cli *cli, const struct wire_message *reply)
{
	return output_fail(cli, MORTISE_IO,
		"slot %llu is made, but its key could not be written: %s; run: mortise slot remove "
		"%llu",
		(unsigned long long)ask_number(reply, WIRE_TAG_NUMBER, 0), strerror(errno),
		(unsigned long long)ask_number(reply, WIRE_TAG_NUMBER, 0));
}

/* Asks for a key to be made, and keeps it where it was meant to go. */
static int make_key(
	struct cli *cli, const char *kind, const char *what, uint64_t shares, uint64_t threshold)
{
	struct wire_writer *writer;
	struct wire_message reply;
	struct key_file file;
	char key_id[KEY_ID_MAX] = "?";
	int ending = key_file_prepare(cli, &file);

	if (ending != CLI_DONE)
		return ending;
	writer = client_begin(cli->agent, WIRE_SLOT_ADD);
	if (shares > 0)
		wire_put_number(writer, WIRE_TAG_NUMBER, shares);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, kind);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (shares > 0)
		wire_put_number(writer, WIRE_TAG_THRESHOLD, threshold);
	enum mortise_status status = call_new(cli, &reply);
	if (status != MORTISE_OK) {
		key_file_abandon(&file);
		return ask_fail(cli, status, NULL);
	}
	if (cli->is_dry_run)
		return report_new(cli, &reply, NULL, false);
	/* "": the key is as good without a name. */
	(void)!wire_text(&reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id);
	if (keep(&file, &reply, what, key_id) != MORTISE_OK)
		return fail_kept(cli, &reply);
	return report_new(cli, &reply, key_id, key_file_is_output(&file));
}

/* "3/5": three of five. */
static int add_shares(struct cli *cli)
{
	const char *text = args_value(cli, "recovery-shares"), *slash = strchr(text, '/');
	uint64_t threshold = 0, shares = 0;
	char first[8] = "", what[80];

	if (slash && (size_t)(slash - text) < sizeof first)
		memcpy(first, text, (size_t)(slash - text));
	if (!slash || !args_number(first, &threshold) || !args_number(slash + 1, &shares) ||
		threshold < 2 || threshold > shares || shares > SHARES_MAX)
		return output_fail(cli, MORTISE_INVALID,
			"--recovery-shares=%s: say how many of how many, like 3/5; at least 2, at "
			"most "
			"%d",
			text, SHARES_MAX);
	(void)snprintf(what, sizeof what, "%llu shares, any %llu of which make a recovery key",
		(unsigned long long)shares, (unsigned long long)threshold);
	return make_key(cli, "recovery-shares", what, shares, threshold);
}

static int add_escrow(struct cli *cli)
{
	CLEANUP(input_free) struct input *input = input_new();
	const char *name = args_value(cli, "recovery-public-key"), *line;
	struct wire_message reply;
	char key_id[KEY_ID_MAX] = "?";
	size_t at = 0, size;

	int ending = typed_file(cli, "the public key", name, input);

	if (ending != CLI_DONE)
		return ending;
	(void)typed_next_line(input, &at, &line, &size);
	struct wire_writer *writer = client_begin(cli->agent, WIRE_SLOT_ADD);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "escrow");
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	wire_put(writer, WIRE_TAG_PUBLIC_KEY, line, size);
	enum mortise_status status = call_new(cli, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	/* "": the key is as good without a name. */
	(void)!wire_text(&reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id);
	return report_new(cli, &reply, cli->is_dry_run ? NULL : key_id, false);
}

static int add(struct cli *cli)
{
	const char *kind = NULL;
	unsigned given = 0;

	for (size_t i = 0; slot_kind_at(i); i++)
		if (args_has(cli, slot_kind_at(i)->option)) {
			kind = slot_kind_at(i)->name;
			given++;
		}
	if (given != 1)
		return output_fail(cli, MORTISE_INVALID,
			"one of --tpm2, --pkcs11=URI, --recovery, --recovery-shares=K/N, "
			"--recovery-public-key=F");
	if (!slot_kind_of(kind)->is_hardware &&
		(args_has(cli, "pcrs") || args_has(cli, "pcr-public-key") ||
			args_has(cli, "tpm2-pin-file") || args_has(cli, "pin-file")))
		return output_fail(
			cli, MORTISE_INVALID, "PCRs and PINs are for --tpm2 and --pkcs11");
	if (args_has(cli, "recovery-shares"))
		return add_shares(cli);
	if (args_has(cli, "recovery-public-key"))
		return add_escrow(cli);
	if (args_has(cli, "recovery"))
		return make_key(cli, SLOT_KIND_RECOVERY, "The recovery key", 0, 0);
	return add_hardware(cli, kind);
}

/* The public half goes to standard output, the key to where keys go. */
static int escrow_key(struct cli *cli)
{
	struct wire_message reply;
	struct key_file file;
	char key_id[KEY_ID_MAX] = "?", half[KEY_MAX];
	int ending = key_file_prepare(cli, &file);

	if (ending != CLI_DONE)
		return ending;
	if (key_file_is_output(&file))
		return output_fail(cli, MORTISE_INVALID,
			"standard output has the public half; the key needs a --recovery-file of "
			"its "
			"own");
	struct wire_writer *writer = client_begin(cli->agent, WIRE_SLOT_ADD);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "escrow-key");
	enum mortise_status status = call_new(cli, &reply);
	if (status != MORTISE_OK) {
		key_file_abandon(&file);
		return ask_fail(cli, status, NULL);
	}
	/* "": the key is as good without a name. */
	(void)!wire_text(&reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id);
	if (wire_text(&reply, WIRE_TAG_PUBLIC_KEY, half, sizeof half) != MORTISE_OK) {
		key_file_abandon(&file);
		return ask_fail_malformed(cli);
	}
	if (keep(&file, &reply, "The recovery key of many hosts", key_id) != MORTISE_OK)
		return output_fail(cli, MORTISE_IO,
			"the key could not be written: %s; run it again", strerror(errno));
	if (cli->is_json)
		return output_json(
			json_pack("{s:s, s:s}", "recovery_key_id", key_id, "public_key", half));
	printf("# The public half of the recovery key %s, for hosts: mortise slot add\n"
	       "# --recovery-public-key=FILE. It opens nothing.\n%s\n",
		key_id, half);
	return CLI_DONE;
}

static const struct option add_options[] = {
	{"tpm2", 0, NULL, "this host's TPM"},
	SEAL_OPTIONS,
	{"recovery", 0, NULL, "another recovery key"},
	{"recovery-shares", 0, "K/N", "a recovery key in N shares, any K of which make it"},
	{"recovery-public-key", 0, "F", "a recovery key whose secret half is elsewhere"},
	{"recovery-file", 0, "F",
		"write the key or the shares to a new file; - is standard output"},
	{0},
};

static const struct option escrow_options[] = {
	{"recovery-file", 0, "F", "write the recovery key to a new file; not standard output"},
	{0}};

const struct command command_slot_add = {
	.name = "slot add",
	.operands = "",
	.summary = "add a way to the master key",
	.options = add_options,
	.changes_something = true,
	.verb = "admin",
	.notes = "--tpm2 alone opens on this machine, whatever is booted on it. --pcrs=7 opens "
		 "only while\n"
		 "secure boot is as it is now: a change of firmware needs `slot suspend` before it "
		 "or\n"
		 "the recovery key after it. --pcr-public-key opens under values signed for each "
		 "kernel\n"
		 "(tpm2-pcr-signature.json), so that an update does not lock the host "
		 "out. " SEAL_NOTES "\nWrong PINs lock the TPM for a while. Hardware is proved by "
		 "opening it once more\n"
		 "before anything is kept.",
	.examples = "  mortise slot add --tpm2 --pcrs=7\n"
		    "  mortise slot add --pkcs11='pkcs11:token=ops' --pin-file=-\n"
		    "  mortise slot add --recovery-shares=3/5 --recovery-file=/root/shares",
	.run = add,
};

const struct command command_slot_escrow_key = {
	.name = "slot escrow-key",
	.operands = "",
	.summary = "make a recovery key for many hosts, and its public half",
	.options = escrow_options,
	.verb = "admin",
	.notes =
		"Run it on a host that you trust, not on those it is for: nothing of it stays "
		"there.\n"
		"The public half, which is printed, goes to the hosts; the key opens all of their\n"
		"escrow slots: mortise unseal --recovery.",
	.examples = "  mortise slot escrow-key --recovery-file=/mnt/stick/fleet >fleet.pub",
	.run = escrow_key,
};
