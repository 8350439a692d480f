/* SPDX-License-Identifier: ISC */
#include "typed_key.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "seal_wish.h"
#include "typed.h"

#define KEY_LETTERS   65 /* of a recovery key; a share has 75 */
#define SHARE_LETTERS 75
#define ATTEMPTS      10 /* at one share */

/* Nearer to a share than to a key, so that a letter left out makes no other thing of it. */
static bool is_share(const char *line, size_t size)
{
	size_t letters = 0;

	for (size_t i = 0; i < size; i++)
		letters += isalnum((unsigned char)line[i]) != 0;
	return letters * 2 > KEY_LETTERS + SHARE_LETTERS;
}

static void put_shares(struct wire_writer *writer, const struct input *lines)
{
	size_t list = wire_list_begin(writer, WIRE_TAG_SHARES), at = 0, size;
	const char *line;

	while (typed_next_line(lines, &at, &line, &size))
		wire_item_put(writer, line, size);
	wire_list_end(writer, list);
}

/* Of a key there is one line; who has two would have one of them ignored. */
static bool has_one_key(const struct input *lines)
{
	const char *line;
	size_t at = 0, size;

	return typed_next_line(lines, &at, &line, &size) &&
	       (is_share(line, size) || !typed_next_line(lines, &at, &line, &size));
}

static int check_keys(const struct cli *cli, const struct input *lines, const char *name)
{
	return has_one_key(lines)
		       ? CLI_DONE
		       : output_fail(cli, MORTISE_INVALID,
				 "%s has more lines than a recovery key; leave that one, "
				 "or put # before the others",
				 name);
}

/* All lines there are, as shares or as the key; fields stand in the order of their tags. */
static enum mortise_status call_with(struct cli *cli, const struct typed_call *call,
	const struct input *lines, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, call->opcode);
	const char *line = "";
	size_t at = 0, size = 0;

	if (call->number > 0)
		wire_put_number(writer, WIRE_TAG_NUMBER, call->number);
	(void)typed_next_line(lines, &at, &line, &size);
	if (!is_share(line, size))
		wire_put(writer, WIRE_TAG_RECOVERY, line, size);
	if (call->wish)
		seal_wish_put(cli, call->wish, writer);
	if (is_share(line, size))
		put_shares(writer, lines);
	if (call->wish)
		seal_wish_put_anchor(cli, writer);
	return client_call(cli->agent, out_reply);
}

/* Who typed a wrong key is told so, not whom to ask for a rule. */
static int fail_key(const struct cli *cli, enum mortise_status status)
{
	if (status == MORTISE_DENIED)
		return output_fail(
			cli, status, "%s: %s", cli->command->name, mortise_message(cli->agent));
	return ask_fail(cli, status, NULL);
}

/* Puts one more line behind those there are, asked for on the terminal. */
static int ask_line(const struct cli *cli, const char *prompt, struct input *lines)
{
	CLEANUP(input_free) struct input *line = input_new();
	enum mortise_status status;

	if (!line)
		return output_fail(cli, MORTISE_IO, "out of memory");
	status = input_ask_hidden(prompt, line);
	if (status != MORTISE_OK || lines->size + line->size + 1 > MORTISE_VALUE_MAX)
		return output_fail(cli, status == MORTISE_IO ? status : MORTISE_INVALID,
			"cannot read the recovery key from the terminal");
	if (line->size == 0)
		return output_fail(cli, MORTISE_INVALID, "nothing was typed; given up");
	memcpy(lines->bytes + lines->size, line->bytes, line->size);
	lines->size += line->size;
	lines->bytes[lines->size++] = '\n';
	return CLI_DONE;
}

/* Of a reply that has changed nothing NUMBER is how many more shares are needed; of others it is
 * something else. */
static uint64_t missing_shares(const struct wire_message *reply)
{
	bool is_short = wire_has(reply, WIRE_TAG_CHANGED) && !ask_flag(reply, WIRE_TAG_CHANGED);

	return is_short ? ask_number(reply, WIRE_TAG_NUMBER, 0) : 0;
}

static void describe_missing(uint64_t missing, char prompt[64])
{
	(void)snprintf(prompt, 64, "%llu more share%s needed; next share",
		(unsigned long long)missing, missing == 1 ? " is" : "s are");
}

/* A wrong share is asked for again; what was right before it is kept. */
static int call_by_terminal(
	struct cli *cli, const struct typed_call *call, struct wire_message *out_reply)
{
	CLEANUP(input_free) struct input *lines = input_new();
	char prompt[64] = "recovery key, or a share of it";
	size_t kept = 0;
	int attempts = 0;

	if (!lines)
		return output_fail(cli, MORTISE_IO, "out of memory");
	for (;;) {
		int ending = ask_line(cli, prompt, lines);

		if (ending != CLI_DONE)
			return ending;
		enum mortise_status status = call_with(cli, call, lines, out_reply);
		if (status == MORTISE_INVALID && ++attempts < ATTEMPTS) {
			output_note("%s; type it again", mortise_message(cli->agent));
			lines->size = kept;
			continue;
		}
		if (status != MORTISE_OK)
			return fail_key(cli, status);
		uint64_t missing = missing_shares(out_reply);
		if (missing == 0)
			return CLI_DONE;
		kept = lines->size;
		attempts = 0;
		describe_missing(missing, prompt);
	}
}

static int call_by_file(struct cli *cli, const struct typed_call *call, const char *name,
	struct wire_message *out_reply)
{
	CLEANUP(input_free) struct input *lines = input_new();
	enum mortise_status status;
	int ending = typed_file(cli, "the recovery key", name, lines);

	if (ending == CLI_DONE)
		ending = check_keys(cli, lines, name);
	if (ending != CLI_DONE)
		return ending;
	status = call_with(cli, call, lines, out_reply);
	if (status != MORTISE_OK)
		return fail_key(cli, status);
	uint64_t missing = missing_shares(out_reply);
	if (missing == 0)
		return CLI_DONE;
	return output_fail(cli, MORTISE_INVALID, "%llu more share%s needed in %s",
		(unsigned long long)missing, missing == 1 ? " is" : "s are", name);
}

int typed_key(const struct cli *cli, struct input *input, const char **out_key, size_t *out_size)
{
	const char *name = args_value(cli, "recovery-file");
	size_t at = 0;
	int ending;

	if (!input)
		return output_fail(cli, MORTISE_IO, "out of memory");
	if (!name && !isatty(STDIN_FILENO))
		return output_fail(cli, MORTISE_INVALID,
			"the recovery key is asked for on a terminal, and there is none; "
			"use --recovery-file=F, or --recovery-file=- for standard input");
	ending = name ? typed_file(cli, "the recovery key", name, input)
		      : ask_line(cli, "recovery key", input);
	if (ending == CLI_DONE)
		ending = check_keys(cli, input, name ? name : "what was typed");
	if (ending == CLI_DONE)
		(void)typed_next_line(input, &at, out_key, out_size);
	return ending;
}

int typed_key_call(struct cli *cli, const struct typed_call *call, struct wire_message *out_reply)
{
	const char *name = args_value(cli, "recovery-file");

	if (name && args_has(cli, "recovery"))
		return output_fail(cli, MORTISE_INVALID, "either --recovery or --recovery-file");
	if (name)
		return call_by_file(cli, call, name, out_reply);
	if (!isatty(STDIN_FILENO))
		return output_fail(cli, MORTISE_INVALID,
			"--recovery asks on a terminal, and there is none; "
			"use --recovery-file=F, or --recovery-file=- for standard input");
	return call_by_terminal(cli, call, out_reply);
}
