/* SPDX-License-Identifier: ISC */
/*
 * set: a value in, from standard input, a file, the terminal or the kernel's random bytes; never
 * from an argument.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "generate.h"
#include "input.h"
#include "output.h"

static bool is_same(const struct input *one, const struct input *other)
{
	uint8_t difference = one->size != other->size;

	for (size_t i = 0; i < sizeof one->bytes; i++)
		difference |= one->bytes[i] ^ other->bytes[i];
	return difference == 0;
}

static int ask_twice(const struct cli *cli, const char *path, struct input *value)
{
	CLEANUP(input_free) struct input *again = input_new();
	char prompt[MORTISE_PATH_MAX + 32];
	enum mortise_status status;

	if (!again)
		return output_fail(cli, MORTISE_IO, "out of memory");
	(void)snprintf(prompt, sizeof prompt, "value of %s", path);
	status = input_ask_hidden(prompt, value);
	if (status == MORTISE_OK)
		status = input_ask_hidden("once more", again);
	if (status != MORTISE_OK)
		return output_fail(cli, status, "cannot read a line from the terminal");
	if (!is_same(value, again))
		return output_fail(cli, MORTISE_INVALID, "the two differ; nothing was set");
	return CLI_DONE;
}

/* The newline that echo adds is not meant; that of a file is. */
static void take_newline(const struct cli *cli, bool is_stdin, struct input *value)
{
	bool is_last = value->size > 0 && value->bytes[value->size - 1] == '\n';

	if (args_has(cli, "raw") || !is_last)
		return;
	if (args_has(cli, "chomp")) {
		value->size--;
		return;
	}
	if (!is_stdin || memchr(value->bytes, '\n', value->size - 1) || !input_is_line(value))
		return;
	value->size--;
	output_note("left out the newline at the end of the line; --raw keeps it");
}

static int obtain(const struct cli *cli, const char *path, struct input *value)
{
	const char *name = args_value(cli, "from-file");
	bool is_stdin = !name || strcmp(name, "-") == 0;
	enum mortise_status status;

	if (args_has(cli, "raw") && args_has(cli, "chomp"))
		return output_fail(cli, MORTISE_INVALID, "either --raw or --chomp");
	if (!name && isatty(STDIN_FILENO)) {
		int ending = ask_twice(cli, path, value);

		if (ending != CLI_DONE)
			return ending;
	} else {
		status = input_read(is_stdin ? "-" : name, value);
		if (status == MORTISE_INVALID)
			return output_fail(cli, status, "%s: a value has at most %d bytes", path,
				MORTISE_VALUE_MAX);
		if (status != MORTISE_OK)
			return output_fail(cli, status, "cannot read %s: %s",
				is_stdin ? "standard input" : name, strerror(errno));
		take_newline(cli, is_stdin, value);
	}
	if (value->size == 0 && !args_has(cli, "allow-empty"))
		return output_fail(cli, MORTISE_INVALID,
			"%s: the value is empty; if that is meant, add --allow-empty", path);
	return CLI_DONE;
}

/* What makes no sense beside --generate, and what makes none without it. */
static int check_generate(const struct cli *cli)
{
	static const char *const others[] = {"from-file", "raw", "chomp", "allow-empty"};

	if (!args_has(cli, "generate")) {
		if (args_has(cli, "show") || args_has(cli, "allow-weak"))
			return output_fail(cli, MORTISE_INVALID,
				"--show and --allow-weak go with --generate only");
		return CLI_DONE;
	}
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (args_has(cli, others[i]))
			return output_fail(
				cli, MORTISE_INVALID, "either --generate or --%s", others[i]);
	if (args_has(cli, "if-changed"))
		return output_fail(cli, MORTISE_INVALID,
			"a generated value is always another one; --expect-version=0 generates "
			"only if there is none");
	if (args_has(cli, "show") && cli->is_dry_run)
		return output_fail(cli, MORTISE_INVALID,
			"a dry run stores no value, so there is none to show");
	return CLI_DONE;
}

static int produce(const struct cli *cli, struct generate *generate, struct input *value)
{
	const char *wrong = generate_parse(args_value(cli, "generate"), generate);

	if (wrong)
		return output_fail(
			cli, MORTISE_INVALID, "--generate: %s; see: mortise set --help", wrong);
	if (generate->bits < GENERATE_STRONG_BITS && !args_has(cli, "allow-weak"))
		return output_fail(cli, MORTISE_INVALID,
			"--generate: %u bits can be guessed, %d are wanted; make it longer, or add "
			"--allow-weak",
			generate->bits, GENERATE_STRONG_BITS);
	if (generate_value(generate, value) != MORTISE_OK)
		return output_fail(cli, MORTISE_IO, "the kernel gives no random bytes");
	return CLI_DONE;
}

static enum mortise_status request(struct cli *cli, const char *path, const struct input *value,
	uint64_t expect, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_SET);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put(writer, WIRE_TAG_VALUE, value->bytes, value->size);
	TRY(client_put_token(cli->agent));
	if (args_has(cli, "expect-version"))
		wire_put_number(writer, WIRE_TAG_EXPECT, expect);
	if (args_has(cli, "if-changed"))
		wire_put_number(writer, WIRE_TAG_IF_CHANGED, 1);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (args_has(cli, "note"))
		wire_put_text(writer, WIRE_TAG_NOTE, args_value(cli, "note"));
	return client_call(cli->agent, out_reply);
}

static int report_json(const char *path, unsigned long long version, bool is_changed,
	const struct cli *cli, const struct generate *generate, const struct input *value)
{
	json_t *object = json_pack("{s:s, s:o, s:b, s:b}", "path", path, "version",
		output_json_number(version), "changed", is_changed, "dry_run", cli->is_dry_run);

	if (object && args_has(cli, "generate"))
		(void)json_object_set_new(object, "bits", output_json_number(generate->bits));
	if (object && args_has(cli, "show"))
		(void)json_object_set_new(
			object, "value", output_json_text(value->bytes, value->size));
	return output_json(object);
}

/* With --show standard output is the value alone, for whoever pipes it on. */
static int show_value(const struct cli *cli, const struct input *value)
{
	if (output_write(STDOUT_FILENO, value->bytes, value->size) == MORTISE_OK &&
		output_write(STDOUT_FILENO, "\n", 1) == MORTISE_OK)
		return CLI_DONE;
	return output_fail(cli, MORTISE_IO, "cannot write to standard output: %s", strerror(errno));
}

static int report(const struct cli *cli, const char *path, const struct wire_message *reply,
	const struct generate *generate, const struct input *value)
{
	unsigned long long version = ask_number(reply, WIRE_TAG_VERSION, 0);
	bool is_changed = ask_flag(reply, WIRE_TAG_CHANGED);
	char text[64];

	if (cli->is_json)
		return report_json(path, version, is_changed, cli, generate, value);
	if (args_has(cli, "generate")) {
		generate_describe(generate, text, sizeof text);
		output_note("generated %s", text);
	}
	if (args_has(cli, "show")) {
		output_note("%s: version %llu", path, version);
		return show_value(cli, value);
	}
	printf("%s: %sversion %llu%s\n", path, cli->is_dry_run ? "would be " : "", version,
		is_changed ? "" : ", unchanged");
	return CLI_DONE;
}

static int set(struct cli *cli)
{
	CLEANUP(input_free) struct input *value = input_new();
	struct generate generate = {.bits = 0};
	enum mortise_status status;
	struct wire_message reply;
	struct ask_path path;
	uint64_t expect;
	int ending;

	if (!value)
		return output_fail(cli, MORTISE_IO, "out of memory");
	if (args_number_of(cli, "expect-version", 0, 0, &expect) != CLI_DONE)
		return CLI_USAGE;
	ending = check_generate(cli);
	if (ending == CLI_DONE)
		ending = ask_expand(cli, cli->operands[0], &path);
	if (ending == CLI_DONE)
		ending = args_has(cli, "generate") ? produce(cli, &generate, value)
						   : obtain(cli, path.text, value);
	if (ending != CLI_DONE)
		return ending;
	status = request(cli, path.text, value, expect, &reply);
	if (status != MORTISE_OK)
		return ask_fail(cli, status, path.text);
	return report(cli, path.text, &reply, &generate, value);
}

static const struct option options[] = {
	{"from-file", 'f', "F", "the value is F's content, exactly; - is standard input"},
	{"generate", 'g', "SPEC", "the value is a random one, like password:32; see below"},
	{"show", 0, NULL, "print the generated value; otherwise nobody sees it"},
	{"allow-weak", 0, NULL, "generate a value of less than 64 bits, too"},
	{"raw", 0, NULL, "keep a final newline"},
	{"chomp", 0, NULL, "drop a final newline, from files too"},
	{"if-changed", 0, NULL, "no new version if the value is the current one"},
	{"expect-version", 0, "N", "only if N is the current version; 0: only if there is none"},
	{"note", 0, "TEXT", "why, in a line, beside this version"},
	{"allow-empty", 0, NULL, "a value may be empty"},
	{0},
};

const struct command command_set = {
	.name = "set",
	.operands = "PATH",
	.summary = "store a new version of a value",
	.options = options,
	.least = 1,
	.most = 1,
	.surplus = "a value is never an argument, since everyone could read it with ps; pipe it "
		   "in, or "
		   "use --from-file=F, or be asked on the terminal",
	.changes_something = true,
	.verb = "write",
	.exits = {CLI_INTEGRITY, CLI_CONFLICT},
	.notes =
		"The value comes from standard input or a file, never from an argument. On a\n"
		"terminal it is asked for twice. One line of text on standard input loses its\n"
		"final newline; everything else is kept exactly. At most 65,536 bytes.\n"
		"\n"
		"SPEC is a kind, a length, and options behind commas:\n"
		"  password:32  characters, with a lower and an upper case letter, a digit and a\n"
		"               symbol; no-lower, no-upper, no-digits, no-symbols leave a class\n"
		"               out, symbols=-_. names the symbols, exclude=0O1l drops characters\n"
		"  hex:32       so many random bytes as hex digits\n"
		"  base64:48    so many random bytes in base64\n"
		"  uuid         a random UUID, 122 bits\n"
		"  words:6      words of five letters that can be spoken, 16.6 bits each;\n"
		"               separator=. stands between them instead of -",
	.examples =
		"  mortise set prod/db/password\n"
		"  mortise set --generate=password:32 --expect-version=0 prod/db/password\n"
		"  mortise set --generate=password:20,no-symbols,exclude=0O1lI prod/db/password\n"
		"  mortise set --from-file=server.key prod/web/key",
	.run = set,
};
