/* SPDX-License-Identifier: ISC */
#include "envfile.h"

#include <string.h>

void envfile_begin(struct envfile *file, char *text, size_t size)
{
	*file = (struct envfile){.at = text, .end = text + size, .line = 1};
	text[size] = '\0';
}

bool envfile_is_name(const char *name, size_t size)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return size > 0 && (name[0] < '0' || name[0] > '9') && strspn(name, letters) >= size;
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

/* Up to the end of the line or a comment; then a NUL stands behind the value. */
static void take_plain(struct envfile *file, const char **out_value)
{
	char *value = file->at, *end = value + strcspn(value, "\n"), *cut = end;

	for (char *at = value; at < end; at++)
		if (*at == '#' && (at[-1] == ' ' || at[-1] == '\t')) { /* before it: a NUL */
			cut = at;
			break;
		}
	while (cut > value && strchr(" \t\r", cut[-1]) != NULL)
		cut--;
	file->at = end;
	if (*end == '\n') {
		file->at++;
		file->line++;
	}
	*cut = '\0';
	*out_value = value;
}

/* What stands for the character behind a backslash; 0: both are meant. */
static char unescape(char letter)
{
	static const char letters[] = "nrt\"\\$`", meanings[] = "\n\r\t\"\\$`";
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

	return found != NULL ? meanings[found - letters] : '\0';
}

static enum mortise_status take_quoted(struct envfile *file, const char **out_value)
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
	file->at++;
	*to = '\0';
	*out_value = value;
	skip_blanks(file);
	if (*file->at == '\0' || strchr("#\r\n", *file->at) != NULL)
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

	skip_lines(file);
	if (file->at >= file->end)
		return MORTISE_NOT_FOUND;
	if (memchr(file->at, '\0', (size_t)(file->end - file->at)) != NULL)
		return refuse(file, "there is a NUL behind it");
	entry.line = file->line;
	TRY(take_name(file, &entry.name));
	skip_blanks(file);
	if (*file->at == '"' || *file->at == '\'')
		TRY(take_quoted(file, &entry.value));
	else
		take_plain(file, &entry.value);
	*out_entry = entry;
	return MORTISE_OK;
}
