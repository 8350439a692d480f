/* SPDX-License-Identifier: ISC */
#include "envfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "output.h"

static const char byte_order_mark[] = "\xef\xbb\xbf"; /* as some editors write it */

void envfile_begin(struct envfile *file, char *text, size_t size)
{
	*file = (struct envfile){.text = text, .at = text, .end = text + size, .line = 1};
	text[size] = '\0';
	if (strncmp(text, byte_order_mark, strlen(byte_order_mark)) == 0)
		file->at += strlen(byte_order_mark);
}

bool envfile_is_name(const char *name, size_t size)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return size > 0 && (name[0] < '0' || name[0] > '9') && strspn(name, letters) >= size;
}

bool envfile_path_of(const char *prefix, const char *name, char out_path[MORTISE_PATH_MAX + 2])
{
	int start = snprintf(out_path, MORTISE_PATH_MAX + 2, "%s/", prefix);
	int size = snprintf(out_path, MORTISE_PATH_MAX + 2, "%s/%s", prefix, name);

	if (size > MORTISE_PATH_MAX || out_path[start] == '_')
		return false;
	for (char *at = out_path + start; *at != '\0'; at++) {
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
		else if (*at == '_')
			*at = '-';
	}
	return true;
}

void envfile_name_of(const char *path, char out_name[MORTISE_PATH_MAX + 1])
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(out_name, MORTISE_PATH_MAX + 1, "%s", slash ? slash + 1 : path);
	for (char *at = out_name; *at != '\0'; at++) {
		if (*at >= 'a' && *at <= 'z')
			*at = (char)(*at - 'a' + 'A');
		else if (*at == '-' || *at == '.')
			*at = '_';
	}
}

static enum mortise_status refuse(struct envfile *file, const char *wrong)
{
	file->wrong = wrong;
	return MORTISE_REJECTED;
}

static void skip_blanks(struct envfile *file)
{
	file->at += strspn(file->at, " \t");
}

/* Blank lines and comments, up to something else. */
static void skip_lines(struct envfile *file)
{
	for (;;) {
		skip_blanks(file);
		if (*file->at == '#')
			file->at += strcspn(file->at, "\n");
		else if (*file->at == '\r' && file->at[1] == '\n')
			file->at++;
		else if (*file->at != '\n')
			return;
		if (*file->at == '\n') {
			file->at++;
			file->line++;
		}
	}
}

/* Of the value, which ends before end; quotes, of which *end may be one, are not part of it. */
static void set_value(
	const struct envfile *file, struct envfile_entry *entry, const char *value, const char *end)
{
	entry->value = value;
	entry->from = (size_t)(value - file->text);
	entry->to = (size_t)(end - file->text);
}

/*
 * Up to the end of the line or a comment; then a NUL stands behind the value. An empty value stands
 * right behind the '=', before the blanks that a comment needs.
 */
static void take_plain(struct envfile *file, struct envfile_entry *entry)
{
	char *begin = file->at, *value = begin + strspn(begin, " \t");
	char *end = value + strcspn(value, "\n"), *cut = end;

	for (char *at = value; at < end; at++)
		if (*at == '#' && (at[-1] == ' ' || at[-1] == '\t')) { /* before it: a NUL */
			cut = at;
			break;
		}
	while (cut > value && strchr(" \t\r", cut[-1]))
		cut--;
	file->at = end;
	if (*end == '\n') {
		file->at++;
		file->line++;
	}
	if (cut == value)
		cut = value = begin;
	*cut = '\0';
	set_value(file, entry, value, cut);
}

/* What stands for the character behind a backslash; 0: both are meant. */
static char unescape(char letter)
{
	static const char letters[] = "nrt\"\\$`", meanings[] = "\n\r\t\"\\$`";
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

	return found ? meanings[found - letters] : '\0';
}

static enum mortise_status take_quoted(struct envfile *file, struct envfile_entry *entry)
{
	char quote = *file->at++, *value = file->at, *to = value;

	for (; *file->at != quote; file->at++) {
		char meant = quote == '"' && *file->at == '\\' ? unescape(file->at[1]) : '\0';

		if (*file->at == '\0')
			return refuse(file, "a quote is not closed");
		if (*file->at == '\n')
			file->line++;
		if (meant != '\0')
			file->at++;
		*to++ = meant != '\0' ? meant : *file->at;
	}
	*to = '\0';
	set_value(file, entry, value, file->at++);
	skip_blanks(file);
	if (*file->at == '\0' || strchr("#\r\n", *file->at))
		return MORTISE_OK;
	return refuse(file, "there is more behind the closing quote");
}

static enum mortise_status take_name(struct envfile *file, const char **out_name)
{
	char *name = file->at;
	size_t size;

	if (strncmp(name, "export", 6) == 0 && (name[6] == ' ' || name[6] == '\t'))
		name += 6 + strspn(name + 6, " \t");
	size = strcspn(name, "=\n \t");
	if (name[size] != '=')
		return refuse(file, "NAME=VALUE is wanted");
	if (!envfile_is_name(name, size))
		return refuse(file, "a name is made of letters, digits and _, a letter first");
	name[size] = '\0';
	file->at = name + size + 1;
	*out_name = name;
	return MORTISE_OK;
}

enum mortise_status envfile_next(struct envfile *file, struct envfile_entry *out_entry)
{
	struct envfile_entry entry = {0};
	size_t blanks;

	skip_lines(file);
	if (file->at >= file->end)
		return MORTISE_NOT_FOUND;
	if (memchr(file->at, '\0', (size_t)(file->end - file->at)))
		return refuse(file, "there is a NUL behind it");
	entry.line = file->line;
	TRY(take_name(file, &entry.name));
	blanks = strspn(file->at, " \t");
	if (file->at[blanks] == '"' || file->at[blanks] == '\'') {
		file->at += blanks;
		TRY(take_quoted(file, &entry));
	} else
		take_plain(file, &entry);
	*out_entry = entry;
	return MORTISE_OK;
}

int envfile_input_read(const struct cli *cli, const char *name, struct input **out_input,
	envfile_visit *visit, void *context)
{
	struct envfile_entry entry;
	struct envfile file;
	enum mortise_status status;

	*out_input = input_new();
	if (!*out_input)
		return output_fail(cli, MORTISE_IO, "out of memory");
	status = input_read(name, *out_input);
	if (status != MORTISE_OK)
		return output_fail(cli, status, "cannot read %s: %s", name,
			status == MORTISE_IO ? strerror(errno) : "it is larger than 65536 bytes");
	envfile_begin(&file, (char *)(*out_input)->bytes, (*out_input)->size);
	while ((status = envfile_next(&file, &entry)) == MORTISE_OK) {
		int ending = visit(context, &entry);

		if (ending != CLI_DONE)
			return ending;
	}
	if (status == MORTISE_NOT_FOUND)
		return CLI_DONE;
	return output_fail(cli, status, "%s:%d: %s", name, file.line, file.wrong);
}
