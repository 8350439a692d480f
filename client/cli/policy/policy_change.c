/* SPDX-License-Identifier: ISC */
#include "policy_change.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "output.h"
#include "policy_units.h"
#include "typed_key.h"

/* ---- policy show: the policy in force, or an older one ---- */

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

		if (status != MORTISE_OK)
			return ask_fail(cli, status, NULL);
		const struct wire_field *chunk = wire_field_of(&reply, WIRE_TAG_CHUNK);
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
	if (!out)
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

#define CHANGE_DEADLINE_MS 60000 /* name services are slow when they are down */
#define PROGRAM_MAX        4096

/* A change has no file; a warning about a program holds only if that is a script. */
struct finding {
	char text[WIRE_TEXT_MAX], file[POLICY_NAME_SIZE], program[PROGRAM_MAX + 1];
	bool is_warning;
	uint64_t line, column;
};

static bool is_script(const char *program)
{
	int fd = open(program, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	char start[2] = "";
	bool found;

	if (fd < 0)
		return false;
	found = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
		read(fd, start, sizeof start) == 2 && memcmp(start, "#!", 2) == 0;
	(void)close(fd);
	return found;
}

/* The next finding that holds; false at the end, or at a malformed one. */
static bool next_finding(struct wire_list *items, struct finding *finding)
{
	struct wire_message item;

	for (;;) {
		struct wire_list ahead = *items;

		*finding = (struct finding){.text = ""};
		if (!ask_next(&ahead, &item) || wire_text(&item, WIRE_TAG_TEXT, finding->text,
							sizeof finding->text) != MORTISE_OK)
			return false;
		finding->is_warning = wire_has(&item, WIRE_TAG_NAME);
		if (finding->is_warning && wire_text(&item, WIRE_TAG_NAME, finding->file,
						   sizeof finding->file) != MORTISE_OK)
			return false;
		if (wire_has(&item, WIRE_TAG_CHUNK) &&
			wire_text(&item, WIRE_TAG_CHUNK, finding->program,
				sizeof finding->program) != MORTISE_OK)
			return false;
		finding->line = ask_number(&item, WIRE_TAG_NUMBER, 0);
		finding->column = ask_number(&item, WIRE_TAG_OFFSET, 0);
		*items = ahead;
		if (finding->program[0] == '\0' || is_script(finding->program))
			return true;
	}
}

static void show_finding(const struct finding *finding)
{
	if (!finding->is_warning) {
		output_text(finding->text);
		(void)putchar('\n');
	} else if (finding->file[0] != '\0') {
		output_note("warning: %s:%llu:%llu: %s", finding->file,
			(unsigned long long)finding->line, (unsigned long long)finding->column,
			finding->text);
	} else {
		output_note("warning: %s", finding->text);
	}
}

/* What would be: changes on standard output, warnings on standard error. */
static int show_change(const struct cli *cli, const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	bool has_changes = false;
	struct finding finding;
	char text[WIRE_TEXT_MAX];

	while (next_finding(&items, &finding)) {
		show_finding(&finding);
		has_changes |= !finding.is_warning;
	}
	if (!wire_list_is_whole(&items))
		return ask_fail_malformed(cli);
	if (!has_changes)
		puts("nobody may do more or less than before");
	if (wire_text(reply, WIRE_TAG_TEXT, text, sizeof text) == MORTISE_OK)
		output_note("warning: %s", text);
	(void)fflush(stdout);
	return CLI_DONE;
}

static json_t *describe(const struct finding *finding)
{
	if (!finding->is_warning)
		return output_json_said(finding->text);
	return json_pack("{s:o, s:o, s:o, s:o}", "file", output_json_said(finding->file), "line",
		output_json_number(finding->line), "column", output_json_number(finding->column),
		"text", output_json_said(finding->text));
}

static int report_json(const struct cli *cli, const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	json_t *changes = json_array(), *warnings = json_array(), *object;
	struct finding finding;
	char text[WIRE_TEXT_MAX];

	while (next_finding(&items, &finding))
		(void)json_array_append_new(
			finding.is_warning ? warnings : changes, describe(&finding));
	object = json_pack("{s:o, s:o, s:b, s:b, s:o, s:o}", "version",
		output_json_number(ask_number(reply, WIRE_TAG_VERSION, 0)), "rules",
		output_json_number(ask_number(reply, WIRE_TAG_NUMBER, 0)), "changed",
		ask_flag(reply, WIRE_TAG_CHANGED), "dry_run", cli->is_dry_run, "changes", changes,
		"warnings", warnings);
	if (object && wire_text(reply, WIRE_TAG_TEXT, text, sizeof text) == MORTISE_OK)
		(void)json_object_set_new(object, "note", output_json_said(text));
	return output_json(object);
}

static int report(const struct cli *cli, const struct wire_message *reply)
{
	uint64_t rules = ask_number(reply, WIRE_TAG_NUMBER, 0);

	if (cli->is_json)
		return report_json(cli, reply);
	printf("policy: %sversion %llu, %llu rule%s%s\n", cli->is_dry_run ? "would be " : "",
		(unsigned long long)ask_number(reply, WIRE_TAG_VERSION, 0),
		(unsigned long long)rules, rules == 1 ? "" : "s",
		ask_flag(reply, WIRE_TAG_CHANGED) ? "" : ", unchanged");
	return CLI_DONE;
}

static enum mortise_status ask(struct cli *cli, const struct policy_change *change, bool is_dry_run,
	uint64_t base, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, change->opcode);

	if (change->version > 0)
		wire_put_number(writer, WIRE_TAG_VERSION, change->version);
	TRY(client_put_token(cli->agent));
	if (base > 0)
		wire_put_number(writer, WIRE_TAG_EXPECT, base);
	if (change->key)
		wire_put(writer, WIRE_TAG_RECOVERY, change->key, change->key_size);
	if (is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (args_has(cli, "force"))
		wire_put_number(writer, WIRE_TAG_FORCE, 1);
	return client_call(cli->agent, out_reply);
}

/* What was sent before is used up by each request: it is sent again, and never repeated alone. */
static int request(struct cli *cli, const struct policy_change *change, bool is_dry_run,
	uint64_t base, struct wire_message *out_reply)
{
	int ending = change->send ? change->send(cli, change->context) : CLI_DONE;
	enum mortise_status status;

	if (ending != CLI_DONE)
		return ending;
	mortise_set_deadline(cli->agent, CHANGE_DEADLINE_MS, change->send ? 0 : cli->wait_ms);
	status = ask(cli, change, is_dry_run, base, out_reply);
	mortise_set_deadline(cli->agent, CLIENT_DEADLINE_MS, cli->wait_ms);
	/* Who typed a wrong key is told so, not whom to ask for a rule. */
	if (status == MORTISE_DENIED && change->key)
		return output_fail(
			cli, status, "%s: %s", cli->command->name, mortise_message(cli->agent));
	return status == MORTISE_OK ? CLI_DONE : ask_fail(cli, status, NULL);
}

static int confirm(const struct cli *cli, const struct wire_message *reply)
{
	char question[96];

	(void)snprintf(question, sizeof question, "Apply this as version %llu?",
		(unsigned long long)ask_number(reply, WIRE_TAG_VERSION, 0));
	if (input_confirm(cli, question))
		return CLI_DONE;
	return output_fail(cli, MORTISE_INVALID, "not applied; the policy is as it was");
}

int policy_change(struct cli *cli, const struct policy_change *change)
{
	enum mortise_status status = change->send ? client_pin(cli->agent) : MORTISE_OK;
	struct wire_message reply;
	uint64_t base;
	int ending;

	if (status != MORTISE_OK)
		return ask_fail(cli, status, NULL);
	ending = request(cli, change, true, change->base, &reply);
	if (ending == CLI_DONE && !cli->is_json)
		ending = show_change(cli, &reply);
	if (ending == CLI_DONE && cli->is_dry_run)
		return report(cli, &reply);
	if (ending == CLI_DONE)
		ending = confirm(cli, &reply);
	if (ending != CLI_DONE)
		return ending;
	base = ask_number(&reply, WIRE_TAG_VERSION, 1) - 1;
	ending = request(cli, change, false, base, &reply);
	return ending == CLI_DONE ? report(cli, &reply) : ending;
}

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
