/* SPDX-License-Identifier: ISC */
#include "typed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "output.h"

#define PIN_MAX 64

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool has_mark(const struct input *input)
{
	return input->size >= 3 && memcmp(input->bytes, byte_order_mark, 3) == 0;
}

bool typed_next_line(const struct input *input, size_t *at, const char **out_line, size_t *out_size)
{
	const char *text = (const char *)input->bytes;

	if (*at == 0 && has_mark(input))
		*at = 3;
	while (*at < input->size) {
		const char *line = text + *at;
		const char *newline = memchr(line, '\n', input->size - *at);
		size_t size = newline ? (size_t)(newline - line) : input->size - *at;

		*at += size + (newline != NULL);
		while (size > 0 && (*line == ' ' || *line == '\t')) {
			line++;
			size--;
		}
		while (size > 0 && strchr(" \t\r", line[size - 1]))
			size--;
		if (size > 0 && *line != '#') {
			*out_line = line;
			*out_size = size;
			return true;
		}
	}
	return false;
}

int typed_file(const struct cli *cli, const char *what, const char *name, struct input *out_lines)
{
	enum mortise_status status;
	const char *line;
	size_t at = 0, size;

	if (!out_lines)
		return output_fail(cli, MORTISE_IO, "out of memory");
	status = input_read(name, out_lines);
	if (status != MORTISE_OK)
		return output_fail(cli, status, "cannot read %s from %s: %s", what, name,
			status == MORTISE_INVALID ? "it is too long" : strerror(errno));
	if (memchr(out_lines->bytes, '\0', out_lines->size))
		return output_fail(cli, MORTISE_INVALID,
			"%s is no plain text, as UTF-16 is none; save it as UTF-8", name);
	if (!typed_next_line(out_lines, &at, &line, &size))
		return output_fail(cli, MORTISE_INVALID,
			"%s is not in %s; it has no line but comments", what, name);
	return CLI_DONE;
}

const char *typed_line(struct input *line)
{
	if (line->size > 0 && line->bytes[line->size - 1] == '\n') {
		line->size--;
		if (line->size > 0 && line->bytes[line->size - 1] == '\r')
			line->size--;
	}
	if (has_mark(line))
		return "begins with a byte order mark; save it without";
	if (memchr(line->bytes, '\0', line->size))
		return "is no plain text, as UTF-16 is none; save it as UTF-8";
	if (memchr(line->bytes, '\n', line->size) || memchr(line->bytes, '\r', line->size))
		return "has more than one line; leave one";
	for (size_t i = 0; i < line->size; i++)
		if ((line->bytes[i] < ' ' && line->bytes[i] != '\t') || line->bytes[i] == 0x7f)
			return "has a control character in it";
	return NULL;
}

/* A blank at an end is easily there, and not seen. */
static void note_blanks(const struct input *pin)
{
	if (pin->size > 0 &&
		(strchr(" \t", pin->bytes[0]) || strchr(" \t", pin->bytes[pin->size - 1])))
		output_note("the PIN begins or ends with a blank, which is part of it");
}

static int ask_new_pin(const struct cli *cli, struct input *pin)
{
	CLEANUP(input_free) struct input *again = input_new();

	if (!again)
		return output_fail(cli, MORTISE_IO, "out of memory");
	if (input_ask_hidden("the same again", again) != MORTISE_OK)
		return output_fail(cli, MORTISE_IO, "cannot read the PIN from the terminal");
	if (again->size != pin->size || memcmp(again->bytes, pin->bytes, pin->size) != 0)
		return output_fail(cli, MORTISE_INVALID, "the two differ; nothing is changed");
	return CLI_DONE;
}

static int read_pin(const struct cli *cli, const char *option, const char *prompt, bool is_new,
	struct input *pin)
{
	const char *name = option ? args_value(cli, option) : NULL;
	bool asks = (!name || strcmp(name, "-") == 0) && isatty(STDIN_FILENO);
	enum mortise_status status;

	if (!name && !asks)
		return output_fail(cli, MORTISE_INVALID,
			"a PIN is asked for on a terminal, and there is none; use "
			"--tpm2-pin-file=F, or --pin-file=F for a token");
	status = asks ? input_ask_hidden(prompt, pin) : input_read(name, pin);
	if (status != MORTISE_OK)
		return output_fail(cli, MORTISE_IO, "cannot read the PIN from %s: %s",
			asks ? "the terminal" : name,
			status == MORTISE_INVALID ? "it is too long" : strerror(errno));
	return asks && is_new ? ask_new_pin(cli, pin) : CLI_DONE;
}

int typed_pin(const struct cli *cli, const char *option, const char *prompt, bool is_new,
	struct input *pin)
{
	int ending = read_pin(cli, option, prompt, is_new, pin);

	const char *wrong;

	if (ending != CLI_DONE)
		return ending;
	wrong = typed_line(pin);
	if (wrong)
		return output_fail(cli, MORTISE_INVALID, "the PIN %s; a PIN is one line", wrong);
	if (pin->size == 0 || pin->size > PIN_MAX)
		return output_fail(cli, MORTISE_INVALID, "a PIN has 1 to %d bytes", PIN_MAX);
	if (is_new)
		note_blanks(pin);
	return CLI_DONE;
}
