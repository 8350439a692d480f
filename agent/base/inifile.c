/* SPDX-License-Identifier: ISC */
/*
 * inih splits keys from values and cuts comments; it is lenient about nearly everything
 * else, does not know columns, and cuts section names at 49 bytes. So each line is judged
 * here before inih has it, and headers are read here alone.
 */
#include "inifile.h"

#include <ini.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INIH_OUT_OF_MEMORY (-2)

struct span {
	const char *at;
	size_t size;
};

struct header {
	const char *title;
	char section[]; /* and behind its NUL the title */
};

struct reading {
	const char *at, *end;
	const char *line; /* the current one */
	inifile_visit *visit;
	void *context;
	struct inifile_entry entry;
	void *headers; /* a tree of struct header, see tsearch(3) */
	struct span keys[INIFILE_KEYS_MAX];
	size_t key_count;
	enum mortise_status status;
	struct inifile_error error;
};

enum mortise_status inifile_refuse(
	struct inifile_error *error, unsigned line, unsigned column, const char *format, ...)
{
	va_list arguments;

	error->line = line;
	error->column = column;
	va_start(arguments, format);
	(void)vsnprintf(error->text, sizeof error->text, format, arguments);
	va_end(arguments);
	return MORTISE_REJECTED;
}

void inifile_describe(
	const char *name, const struct inifile_error *error, char *out_text, size_t size)
{
	if (error->line == 0)
		(void)snprintf(out_text, size, "%.200s: %s", name, error->text);
	else
		(void)snprintf(out_text, size, "%.200s:%u:%u: %s", name, error->line, error->column,
			error->text);
	for (; size > 0 && *out_text != '\0'; out_text++)
		if (*out_text < ' ' || *out_text > '~')
			*out_text = '?';
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static bool is_key_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

static size_t count_blanks(const char *at, const char *end)
{
	const char *from = at;

	while (at < end && is_blank(*at))
		at++;
	return (size_t)(at - from);
}

static unsigned column_of(const struct reading *reading, const char *at)
{
	return (unsigned)(at - reading->line) + 1;
}

static enum mortise_status refuse_at(struct reading *reading, const char *at, const char *text)
{
	return inifile_refuse(
		&reading->error, reading->entry.line, column_of(reading, at), "%s", text);
}

static struct span take_line(struct reading *reading)
{
	size_t left = (size_t)(reading->end - reading->at);
	const char *newline = memchr(reading->at, '\n', left);
	struct span line = {reading->at, newline ? (size_t)(newline - reading->at) : left};

	reading->at += line.size + (newline != NULL);
	reading->line = line.at;
	reading->entry.line++;
	return line;
}

/* The line without blanks around it and without its comment. */
static struct span strip(struct span line)
{
	const char *end = line.at + line.size;
	const char *start = line.at + count_blanks(line.at, end);
	const char *at = start;

	if (at < end && *at == '#')
		return (struct span){start, 0};
	while (at < end && !(*at == ';' && (at == start || is_blank(at[-1]))))
		at++;
	while (at > start && is_blank(at[-1]))
		at--;
	return (struct span){start, (size_t)(at - start)};
}

static enum mortise_status check_byte(struct reading *reading, const char *at, bool in_comment)
{
	unsigned char byte = (unsigned char)*at;

	if (byte == '\r')
		return refuse_at(
			reading, at, "a carriage return: lines must end in a newline alone");
	if ((byte < ' ' && byte != '\t') || byte == 0x7f)
		return inifile_refuse(&reading->error, reading->entry.line, column_of(reading, at),
			"control byte 0x%02x", byte);
	if (byte > 0x7f && !in_comment)
		return inifile_refuse(&reading->error, reading->entry.line, column_of(reading, at),
			"byte 0x%02x: only ASCII is allowed outside comments", byte);
	return MORTISE_OK;
}

static enum mortise_status check_bytes(
	struct reading *reading, struct span line, struct span stripped)
{
	const char *comment = stripped.at + stripped.size;

	if (line.size > INIFILE_LINE_MAX)
		return inifile_refuse(&reading->error, reading->entry.line, INIFILE_LINE_MAX + 1,
			"a line is at most %d bytes", INIFILE_LINE_MAX);
	for (const char *at = line.at; at < line.at + line.size; at++)
		TRY(check_byte(reading, at, at >= comment));
	return MORTISE_OK;
}

static int compare_headers(const void *left, const void *right)
{
	const struct header *a = left, *b = right;
	int order = strcmp(a->section, b->section);

	return order != 0 ? order : strcmp(a->title, b->title);
}

static struct header *copy_header(struct span section, struct span title)
{
	struct header *header = calloc(1, sizeof *header + section.size + title.size + 2);

	if (!header)
		return NULL;
	memcpy(header->section, section.at, section.size);
	memcpy(header->section + section.size + 1, title.at, title.size);
	header->title = header->section + section.size + 1;
	return header;
}

static enum mortise_status enter_section(
	struct reading *reading, struct span section, struct span title)
{
	struct header *header = copy_header(section, title);
	struct header **node = header ? tsearch(header, &reading->headers, compare_headers) : NULL;

	if (!node) {
		free(header);
		return MORTISE_BUSY;
	}
	if (*node != header) {
		free(header);
		return refuse_at(reading, section.at - 1, "this section stands above already");
	}
	reading->key_count = 0;
	reading->entry.section = header->section;
	reading->entry.title = header->title;
	reading->entry.key = NULL;
	reading->entry.value = "";
	reading->entry.value_column = 0;
	return reading->visit(reading->context, &reading->entry, &reading->error);
}

static enum mortise_status read_header(struct reading *reading, struct span line)
{
	const char *close = memchr(line.at, ']', line.size);
	const char *name = line.at + 1;
	const char *at = name;
	const char *title, *title_end;

	if (!close)
		return refuse_at(reading, line.at + line.size, "expected ']' after a section");
	if (close + 1 != line.at + line.size)
		return refuse_at(reading, close + 1, "expected nothing but a comment after ']'");
	while (at < close && !is_blank(*at))
		at++;
	if (at == name)
		return refuse_at(reading, name, "expected the section's name after '['");
	title = at + count_blanks(at, close);
	title_end = close;
	while (title_end > title && is_blank(title_end[-1]))
		title_end--;
	return enter_section(reading, (struct span){name, (size_t)(at - name)},
		(struct span){title, (size_t)(title_end - title)});
}

static enum mortise_status note_key(struct reading *reading, struct span key)
{
	if (!reading->entry.section)
		return refuse_at(reading, key.at, "expected a section before the first key");
	for (size_t i = 0; i < reading->key_count; i++)
		if (reading->keys[i].size == key.size &&
			memcmp(reading->keys[i].at, key.at, key.size) == 0)
			return refuse_at(reading, key.at, "this key stands in the section already");
	if (reading->key_count == INIFILE_KEYS_MAX)
		return inifile_refuse(&reading->error, reading->entry.line,
			column_of(reading, key.at), "a section has at most %d keys",
			INIFILE_KEYS_MAX);
	reading->keys[reading->key_count++] = key;
	return MORTISE_OK;
}

static enum mortise_status read_key(struct reading *reading, struct span line)
{
	const char *end = line.at + line.size;
	const char *at = line.at;
	const char *equals;

	while (at < end && is_key_byte(*at))
		at++;
	if (at == line.at)
		return refuse_at(reading, at, "expected a key, a section in brackets or a comment");
	equals = at + count_blanks(at, end);
	if (equals == end || *equals != '=')
		return refuse_at(reading, equals, "expected '=' after a key");
	reading->entry.value_column =
		column_of(reading, equals + 1 + count_blanks(equals + 1, end));
	return note_key(reading, (struct span){line.at, (size_t)(at - line.at)});
}

static enum mortise_status read_line(struct reading *reading, struct span line)
{
	struct span stripped = strip(line);

	TRY(check_bytes(reading, line, stripped));
	if (stripped.size == 0)
		return MORTISE_OK;
	reading->entry.column = column_of(reading, stripped.at);
	if (*stripped.at == '[')
		return read_header(reading, stripped);
	return read_key(reading, stripped);
}

static char *hand_line(char *buffer, int capacity, void *context)
{
	struct reading *reading = context;
	struct span line;

	if (reading->status != MORTISE_OK || reading->at == reading->end)
		return NULL;
	line = take_line(reading);
	reading->status = read_line(reading, line);
	if (reading->status != MORTISE_OK || line.size >= (size_t)capacity)
		return NULL;
	memcpy(buffer, line.at, line.size);
	buffer[line.size] = '\0';
	return buffer;
}

static int visit_entry(void *context, const char *section, const char *key, const char *value)
{
	struct reading *reading = context;

	(void)section;
	reading->entry.key = key;
	reading->entry.value = value;
	reading->status = reading->visit(reading->context, &reading->entry, &reading->error);
	return reading->status == MORTISE_OK;
}

static void set_up_inih(void)
{
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_initial_alloc = INIFILE_LINE_MAX + 3;
	ini_max_line = INIFILE_LINE_MAX + 3;
	ini_allow_multiline = false;
	ini_allow_bom = false;
	ini_allow_no_value = false;
	ini_stop_on_first_error = true;
	ini_start_comment_prefixes = ";#";
	ini_allow_inline_comments = true;
	ini_inline_comment_prefixes = ";";
}

enum mortise_status inifile_read(const char *text, size_t size, inifile_visit *visit, void *context,
	struct inifile_error *out_error)
{
	struct reading reading = {.visit = visit, .context = context};
	int result;

	reading.at = size > 0 ? text : "";
	reading.end = reading.at + size;
	set_up_inih();
	result = ini_parse_stream(hand_line, &reading, visit_entry, &reading);
	tdestroy(reading.headers, free);
	if (reading.status == MORTISE_OK && result == INIH_OUT_OF_MEMORY)
		return MORTISE_BUSY;
	if (reading.status == MORTISE_OK && (result != 0 || reading.at != reading.end))
		reading.status = inifile_refuse(
			&reading.error, reading.entry.line, 1, "this line is not understood");
	if (reading.status == MORTISE_REJECTED)
		*out_error = reading.error;
	return reading.status;
}
