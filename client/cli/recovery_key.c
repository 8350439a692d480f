/* SPDX-License-Identifier: ISC */
#include "recovery_key.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

/* In a recovery file the key is the first line that is neither empty nor a comment. */
static void find_key(const struct input *input, const char **out_key, size_t *out_size)
{
	const char *at = (const char *)input->bytes, *end = at + input->size;

	*out_key = at;
	*out_size = 0;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((newline != NULL ? newline : end) - at);

		while (size > 0 && (*at == ' ' || *at == '\t')) {
			at++;
			size--;
		}
		while (size > 0 && strchr(" \t\r", at[size - 1]) != NULL)
			size--;
		if (size > 0 && *at != '#') {
			*out_key = at;
			*out_size = size;
			return;
		}
		at = newline != NULL ? newline + 1 : end;
	}
}

static int read_input(const struct cli *cli, struct input *input)
{
	const char *name = args_value(cli, "recovery-file");
	enum mortise_status result;

	if (name == NULL && !isatty(STDIN_FILENO))
		return output_fail(cli, MORTISE_INVALID,
			"the recovery key is asked for on a terminal, and there is none; "
			"use --recovery-file=F, or --recovery-file=- for standard input");
	result = name != NULL ? input_read(name, input) : input_ask_hidden("recovery key", input);
	if (result == MORTISE_OK)
		return CLI_DONE;
	return output_fail(cli, result, "cannot read the recovery key from %s: %s",
		name != NULL ? name : "the terminal",
		result == MORTISE_INVALID ? "it is too long" : strerror(errno));
}

int recovery_key_obtain(
	const struct cli *cli, struct input *input, const char **out_key, size_t *out_size)
{
	int ending;

	if (input == NULL)
		return output_fail(cli, MORTISE_IO, "out of memory");
	ending = read_input(cli, input);
	if (ending != CLI_DONE)
		return ending;
	find_key(input, out_key, out_size);
	if (*out_size == 0)
		return output_fail(cli, MORTISE_INVALID, "there is no recovery key in the input");
	return CLI_DONE;
}
