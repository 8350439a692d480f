/* SPDX-License-Identifier: ISC */
#include "template.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
	while (template->at < template->end && strchr(" \t\r\n", *template->at) != NULL &&
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
	if (end == NULL || memchr(begin, '\n', (size_t)(end - begin)) != NULL)
		return refuse(template, "a quote is not closed");
	if (memchr(begin, '\0', (size_t)(end - begin)) != NULL)
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
	if (mark != NULL && mark == begin) {
		template->at += 2;
		return take_directive(template, out_part);
	}
	go_to(template, mark != NULL ? mark : template->end);
	*out_part = (struct template_part){begin, (size_t)(template->at - begin), false};
	return MORTISE_OK;
}
