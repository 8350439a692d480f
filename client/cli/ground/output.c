/* SPDX-License-Identifier: ISC */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shown.h"

#define LINE_MAX_SIZE 2048

/* One row for each status: the exit status, and its word in JSON. */
static const struct {
	int exit;
	const char *word;
} endings[] = {
	[MORTISE_OK] = {CLI_DONE, "ok"},
	[MORTISE_INVALID] = {CLI_USAGE, "invalid"},
	[MORTISE_DENIED] = {CLI_DENIED, "denied"},
	[MORTISE_NOT_FOUND] = {CLI_NOT_FOUND, "not-found"},
	[MORTISE_CONFLICT] = {CLI_CONFLICT, "conflict"},
	[MORTISE_SEALED] = {CLI_TRY_AGAIN, "sealed"},
	[MORTISE_BUSY] = {CLI_TRY_AGAIN, "busy"},
	[MORTISE_INTEGRITY] = {CLI_INTEGRITY, "integrity"},
	[MORTISE_IO] = {CLI_IO, "io"},
	[MORTISE_HARDWARE] = {CLI_IO, "hardware"},
	[MORTISE_UNREACHABLE] = {CLI_UNREACHABLE, "unreachable"},
	[MORTISE_REJECTED] = {CLI_REJECTED, "rejected"},
};

/* The size stands before each block, so that a block can be wiped when it is freed. */
static void *allocate(size_t size)
{
	size_t *block = size > SIZE_MAX - 16 ? NULL : malloc(size + 16);

	if (!block)
		return NULL;
	*block = size;
	return (unsigned char *)block + 16;
}

static void release(void *bytes)
{
	unsigned char *block = bytes;

	if (!block)
		return;
	block -= 16;
	mortise_wipe(bytes, *(size_t *)(void *)block);
	free(block);
}

void output_init(void)
{
	json_set_alloc_funcs(allocate, release);
}

int output_exit(enum mortise_status status)
{
	return (unsigned)status < sizeof endings / sizeof endings[0] ? endings[status].exit
								     : CLI_IO;
}

const char *output_word(enum mortise_status status)
{
	return (unsigned)status < sizeof endings / sizeof endings[0] ? endings[status].word : "io";
}

static void print_line(const char *line)
{
	char shown[2 * LINE_MAX_SIZE];

	(void)shown_text(line, strlen(line), shown, sizeof shown);
	fprintf(stderr, "mortise: %s\n", shown);
}

__attribute__((format(printf, 4, 0))) static int fail(
	const struct cli *cli, int exit, const char *word, const char *format, va_list arguments)
{
	char line[LINE_MAX_SIZE];

	if (cli->is_quiet)
		return exit;
	(void)vsnprintf(line, sizeof line, format, arguments);
	if (!cli->is_json) {
		print_line(line);
		return exit;
	}
	(void)output_json(json_pack("{s:s, s:i, s:o}", "error", word, "status", exit, "message",
		output_json_shown(line, strlen(line))));
	return exit;
}

int output_fail(const struct cli *cli, enum mortise_status status, const char *format, ...)
{
	va_list arguments;
	int exit;

	va_start(arguments, format);
	exit = fail(cli, output_exit(status), output_word(status), format, arguments);
	va_end(arguments);
	return exit;
}

int output_fail_with(const struct cli *cli, int exit, const char *word, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)fail(cli, exit, word, format, arguments);
	va_end(arguments);
	return exit;
}

void output_note(const char *format, ...)
{
	char line[LINE_MAX_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	print_line(line);
}

enum mortise_status output_write(int fd, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	while (size > 0) {
		ssize_t written = write(fd, at, size);

		if (written < 0 && errno == EAGAIN) /* someone else has made it so */
			(void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		else if (written < 0 && errno != EINTR)
			return MORTISE_IO;
		if (written > 0) {
			at += written;
			size -= (size_t)written;
		}
	}
	return MORTISE_OK;
}

/* The same, as it may be shown; wiped when it is freed. */
static char *show(const void *bytes, size_t size, size_t *out_size)
{
	size_t room = shown_text(bytes, size, NULL, 0) + 1;
	char *text = allocate(room);

	if (text)
		*out_size = shown_text(bytes, size, text, room);
	return text;
}

/* What is no ASCII stands within strings, where \\u202e is JSON's own spelling, too. */
static char *dump_line(json_t *object, size_t *out_size)
{
	size_t size = json_dumpb(object, NULL, 0, JSON_PRESERVE_ORDER);
	char *dumped = size > 0 ? allocate(size) : NULL, *text = NULL;

	if (dumped) {
		(void)json_dumpb(object, dumped, size, JSON_PRESERVE_ORDER);
		text = show(dumped, size, out_size);
	}
	if (text)
		text[(*out_size)++] = '\n'; /* in the place of its NUL */
	release(dumped);
	return text;
}

int output_json(json_t *object)
{
	size_t size = 0;
	char *text = object ? dump_line(object, &size) : NULL;
	enum mortise_status status = MORTISE_IO;

	json_decref(object);
	if (!text)
		errno = ENOMEM;
	else
		status = output_write(STDOUT_FILENO, text, size);
	release(text);
	if (status == MORTISE_OK)
		return CLI_DONE;
	output_note("cannot write to standard output: %s", strerror(errno));
	return CLI_IO;
}

void output_text(const char *text)
{
	size_t size = strlen(text);
	char piece[SHOWN_PIECE_MAX];

	while (size > 0) {
		size_t taken = shown_take(text, size, piece);

		(void)fputs(piece, stdout);
		text += taken;
		size -= taken;
	}
}

void output_lines(const char *text, size_t size)
{
	char piece[SHOWN_PIECE_MAX];

	while (size > 0) {
		bool is_plain = *text == '\n' || *text == '\t';
		size_t taken = is_plain ? 1 : shown_take(text, size, piece);

		if (is_plain)
			(void)putchar(*text);
		else
			(void)fputs(piece, stdout);
		text += taken;
		size -= taken;
	}
}

json_t *output_json_text(const void *bytes, size_t size)
{
	return json_stringn(bytes, size);
}

json_t *output_json_shown(const void *bytes, size_t size)
{
	json_t *string = json_stringn(bytes, size);
	size_t shown_size = 0;
	char *text = !string ? show(bytes, size, &shown_size) : NULL;

	if (text)
		string = json_stringn(text, shown_size);
	release(text);
	return string;
}

json_t *output_json_said(const char *text)
{
	return output_json_shown(text, strlen(text));
}

json_t *output_json_number(uint64_t number)
{
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *output_json_base64(const void *bytes, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = bytes;
	size_t out_size = (size + 2) / 3 * 4, at = 0;
	char *text = allocate(out_size + 1);
	json_t *string;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i += 3) {
		unsigned long group = (unsigned long)in[i] << 16;

		group |= i + 1 < size ? (unsigned long)in[i + 1] << 8 : 0;
		group |= i + 2 < size ? in[i + 2] : 0;
		text[at++] = digits[group >> 18];
		text[at++] = digits[group >> 12 & 63];
		text[at++] = i + 1 < size ? digits[group >> 6 & 63] : '=';
		text[at++] = i + 2 < size ? digits[group & 63] : '=';
	}
	string = json_stringn(text, out_size);
	release(text);
	return string;
}
