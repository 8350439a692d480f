/* SPDX-License-Identifier: ISC */
#include "template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "array.h"
#include "fetch.h"
#include "input.h"
#include "output.h"
#include "output_file.h"

void template_begin(struct template *template, char *text, size_t size)
{
	*template = (struct template){.at = text, .end = text + size, .line = 1};
}

__attribute__((format(printf, 2, 3))) static enum mortise_status refuse(
	struct template *template, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(template->wrong, sizeof template->wrong, format, arguments);
	va_end(arguments);
	return MORTISE_REJECTED;
}

static char *find(struct template *template, const char *what)
{
	return memmem(template->at, (size_t)(template->end - template->at), what, strlen(what));
}

static void go_to(struct template *template, char *to)
{
	for (; template->at < to; template->at++)
		template->line += *template->at == '\n';
}

static void skip_blanks(struct template *template)
{
	while (template->at < template->end && strchr(" \t\r\n", *template->at) &&
		*template->at != '\0')
		go_to(template, template->at + 1);
}

static size_t word_size(const struct template *template)
{
	const char *at = template->at;

	while (at < template->end && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z')))
		at++;
	return (size_t)(at - template->at);
}

/* A string between double quotes, on one line; there is no way to write a quote in it. */
static enum mortise_status take_string(struct template *template, struct template_part *out_part)
{
	char *begin = template->at + 1, *end;

	if (template->at == template->end || *template->at != '"')
		return refuse(template, "a string in double quotes is wanted");
	end = memchr(begin, '"', (size_t)(template->end - begin));
	if (!end || memchr(begin, '\n', (size_t)(end - begin)))
		return refuse(template, "a quote is not closed");
	if (memchr(begin, '\0', (size_t)(end - begin)))
		return refuse(template, "there is a NUL in a string");
	*end = '\0';
	out_part->text = begin;
	out_part->size = (size_t)(end - begin);
	template->at = end + 1;
	return MORTISE_OK;
}

/* Behind "{{". */
static enum mortise_status take_directive(struct template *template, struct template_part *out_part)
{
	struct template_part part = {0};
	size_t size;

	skip_blanks(template);
	size = word_size(template);
	part.is_secret = size == 6 && memcmp(template->at, "secret", 6) == 0;
	if (size > 0 && !part.is_secret)
		return refuse(template,
			"unknown directive '%.*s'; there is only: {{ secret \"PATH\" }}",
			(int)(size < 24 ? size : 24), template->at);
	template->at += size;
	skip_blanks(template);
	TRY(take_string(template, &part));
	skip_blanks(template);
	if (template->end - template->at < 2 || memcmp(template->at, "}}", 2) != 0)
		return refuse(template, "}} is wanted behind the string");
	template->at += 2;
	*out_part = part;
	return MORTISE_OK;
}

enum mortise_status template_next(struct template *template, struct template_part *out_part)
{
	char *begin = template->at, *mark;

	if (begin == template->end)
		return MORTISE_NOT_FOUND;
	mark = find(template, "{{");
	if (mark && mark == begin) {
		template->at += 2;
		return take_directive(template, out_part);
	}
	go_to(template, mark ? mark : template->end);
	*out_part = (struct template_part){begin, (size_t)(template->at - begin), false};
	return MORTISE_OK;
}

/* A template with its secrets in place, all of them or no file. */

struct piece {
	struct template_part part;
	int item; /* in fetch */
};

struct rendering {
	struct input *input;
	struct piece *pieces;
	size_t count;
	struct fetch fetch;
};

static int add_secret(struct cli *cli, struct rendering *rendering, struct piece *piece)
{
	struct fetch *fetch = &rendering->fetch;
	int status;

	for (piece->item = 0; piece->item < fetch->count; piece->item++)
		if (strcmp(fetch->items[piece->item].given, piece->part.text) == 0)
			return CLI_DONE;
	status = fetch_add(cli, fetch, piece->part.text);
	return status;
}

static int add_part(struct cli *cli, struct rendering *rendering, const struct template_part *part)
{
	struct piece *pieces = array_room(rendering->pieces, rendering->count, sizeof *pieces);
	struct piece *piece;

	if (!pieces)
		return output_fail(cli, MORTISE_IO, "out of memory");
	rendering->pieces = pieces;
	piece = &pieces[rendering->count++];
	*piece = (struct piece){.part = *part};
	return part->is_secret ? add_secret(cli, rendering, piece) : CLI_DONE;
}

static int parse(struct cli *cli, struct rendering *rendering)
{
	struct input *input = rendering->input;
	struct template template;
	struct template_part part;
	enum mortise_status status;

	template_begin(&template, (char *)input->bytes, input->size);
	while ((status = template_next(&template, &part)) == MORTISE_OK) {
		int ending = add_part(cli, rendering, &part);

		if (ending != CLI_DONE)
			return ending;
	}
	if (status == MORTISE_NOT_FOUND)
		return CLI_DONE;
	return output_fail(
		cli, status, "%s:%d: %s", cli->operands[0], template.line, template.wrong);
}

static int read_template(struct cli *cli, struct rendering *rendering)
{
	enum mortise_status status;

	rendering->input = input_new();
	if (!rendering->input)
		return output_fail(cli, MORTISE_IO, "out of memory");
	status = input_read(cli->operands[0], rendering->input);
	if (status == MORTISE_OK)
		return parse(cli, rendering);
	return output_fail(cli, status, "cannot read %s: %s", cli->operands[0],
		status == MORTISE_IO ? strerror(errno) : "it is larger than 65536 bytes");
}

static enum mortise_status write_pieces(int fd, const void *context)
{
	const struct rendering *rendering = context;

	for (size_t i = 0; i < rendering->count; i++) {
		const struct piece *piece = &rendering->pieces[i];
		const struct fetched *value = &rendering->fetch.items[piece->item];

		if (piece->part.is_secret)
			TRY(output_write(fd, value->bytes, value->size));
		else
			TRY(output_write(fd, piece->part.text, piece->part.size));
	}
	return MORTISE_OK;
}

static int deliver(struct cli *cli, const struct rendering *rendering)
{
	const char *name = args_value(cli, "out");
	int status = CLI_DONE;

	if (!cli->is_dry_run)
		status = output_file_write(cli, name, write_pieces, rendering);
	if (status != CLI_DONE)
		return status;
	if (cli->is_json)
		return output_json(json_pack("{s:b, s:i}", "changed", !cli->is_dry_run, "secrets",
			rendering->fetch.count));
	if (cli->is_dry_run)
		output_note("%s: all %d secrets can be had; nothing was written", cli->operands[0],
			rendering->fetch.count);
	return CLI_DONE;
}

static void drop(struct cli *cli, struct rendering *rendering)
{
	fetch_drop(cli, &rendering->fetch);
	free(rendering->pieces);
	input_free(&rendering->input);
}

static int render(struct cli *cli)
{
	const struct fetch_version current = {.has_number = false};
	struct rendering rendering = {0};
	int status;

	if (cli->is_json && !cli->is_dry_run && !args_has(cli, "out"))
		return output_fail(cli, MORTISE_INVALID,
			"--json takes the place of the text on standard output; use --out=F too");
	status = read_template(cli, &rendering);
	if (status == CLI_DONE)
		status = fetch_values(cli, &rendering.fetch, &current);
	if (status == CLI_DONE)
		status = deliver(cli, &rendering);
	drop(cli, &rendering);
	return status;
}

static const struct option options[] = {
	{"out", 'o', "F", "into a file (0600, all at once) instead of standard output"},
	{0},
};

const struct command command_render = {
	.name = "render",
	.operands = "TEMPLATE",
	.summary = "put secrets into a text",
	.options = options,
	.least = 1,
	.most = 1,
	.changes_something = true,
	.verb = "read",
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND, CLI_REJECTED},
	.notes =
		"In the template, {{ secret \"PATH#FIELD\" }} stands for a value, and {{ \"{{\" }} "
		"for\n"
		"what would otherwise begin a directive. Nothing is written unless all values can\n"
		"be had. The file holds them in plain text: better leave none, and use exec.",
	.examples = "  mortise render --out=/run/app/app.conf /etc/app/app.conf.in\n"
		    "  mortise render - <app.conf.in | app --config=/dev/stdin",
	.run = render,
};
