/* SPDX-License-Identifier: ISC */
/* slot add, slot escrow-key. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "key_file.h"
#include "output.h"
#include "seal_wish.h"
#include "typed.h"

#define SLOT_DEADLINE_MS 120000
#define SHARES_MAX       16
#define KEY_MAX          128
#define KEY_ID_MAX       16

static int report(const struct cli *cli, const struct wire_message *reply, const char *key_id,
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
			(unsigned long long)id, key_id != NULL ? "; key id " : "",
			key_id != NULL ? key_id : "");
	return CLI_DONE;
}

static enum mortise_status call(struct cli *cli, struct wire_message *out_reply)
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
	enum mortise_status status = call(cli, &reply);
	uint64_t id = ask_number(&reply, WIRE_TAG_NUMBER, 0);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	ending = report(cli, &reply, NULL, false);
	if (id > 0 && strcmp(kind, "tpm2") == 0)
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
		field = reply->field[WIRE_TAG_RECOVERY];
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
	enum mortise_status status = call(cli, &reply);
	if (status != MORTISE_OK) {
		key_file_abandon(&file);
		return ask_fail(cli, status, NULL);
	}
	if (cli->is_dry_run)
		return report(cli, &reply, NULL, false);
	(void)!wire_text(&reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id);
	if (keep(&file, &reply, what, key_id) != MORTISE_OK)
		return fail_kept(cli, &reply);
	return report(cli, &reply, key_id, key_file_is_output(&file));
}

/* "3/5": three of five. */
static int add_shares(struct cli *cli)
{
	const char *text = args_value(cli, "recovery-shares"), *slash = strchr(text, '/');
	uint64_t threshold = 0, shares = 0;
	char first[8] = "", what[80];

	if (slash != NULL && (size_t)(slash - text) < sizeof first)
		memcpy(first, text, (size_t)(slash - text));
	if (slash == NULL || !args_number(first, &threshold) || !args_number(slash + 1, &shares) ||
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
	enum mortise_status status = call(cli, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	(void)!wire_text(&reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id);
	return report(cli, &reply, cli->is_dry_run ? NULL : key_id, false);
}

static int add(struct cli *cli)
{
	bool typed = args_has(cli, "recovery") || args_has(cli, "recovery-shares") ||
		     args_has(cli, "recovery-public-key");

	if (args_has(cli, "tpm2") + args_has(cli, "pkcs11") + args_has(cli, "recovery") +
			args_has(cli, "recovery-shares") + args_has(cli, "recovery-public-key") !=
		1)
		return output_fail(cli, MORTISE_INVALID,
			"one of --tpm2, --pkcs11=URI, --recovery, --recovery-shares=K/N, "
			"--recovery-public-key=F");
	if (typed && (args_has(cli, "pcrs") || args_has(cli, "pcr-public-key") ||
			     args_has(cli, "tpm2-pin-file") || args_has(cli, "pin-file")))
		return output_fail(
			cli, MORTISE_INVALID, "PCRs and PINs are for --tpm2 and --pkcs11");
	if (args_has(cli, "recovery-shares"))
		return add_shares(cli);
	if (args_has(cli, "recovery-public-key"))
		return add_escrow(cli);
	if (args_has(cli, "recovery"))
		return make_key(cli, "recovery", "The recovery key", 0, 0);
	return add_hardware(cli, args_has(cli, "pkcs11") ? "pkcs11" : "tpm2");
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
	enum mortise_status status = call(cli, &reply);
	if (status != MORTISE_OK) {
		key_file_abandon(&file);
		return ask_fail(cli, status, NULL);
	}
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
