/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer on shown: what comes out is text of the C library's, too, and without control
 * characters; read back it is what went in; and one that does not fit is the beginning of it.
 */
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "shown.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	(void)count;
	(void)arguments;
	return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

static void check_text(const char *text)
{
	mbstate_t shift = {0};

	while (*text != '\0') {
		wchar_t point = 0;
		size_t length = mbrtowc(&point, text, strlen(text), &shift);

		if (length == 0 || length > 4 || iswcntrl((wint_t)point))
			abort();
		text += length;
	}
}

/* Undoes one spelling; how much of the text it took. */
static size_t read_back(const char *text, size_t left, uint8_t byte, size_t *out_taken)
{
	unsigned value = 0;

	*out_taken = 1;
	if (left >= 4 && text[0] == '\\' && text[1] == 'x' && byte != '\\') {
		if (sscanf(text + 2, "%2x", &value) != 1 || value != byte)
			abort();
		return 4;
	}
	if (left >= 6 && text[0] == '\\' && text[1] == 'u' && byte != '\\') {
		if (sscanf(text + 2, "%4x", &value) != 1)
			abort();
		*out_taken = value < 0x80 ? 1 : value < 0x800 ? 2 : 3;
		return 6;
	}
	if ((uint8_t)text[0] != byte)
		abort();
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t needed = shown_text(bytes, size, NULL, 0), at = 0;
	char *text = malloc(needed + 1), *part = malloc(needed / 2 + 1);

	if (text == NULL || part == NULL || shown_text(bytes, size, text, needed + 1) != needed ||
		strlen(text) != needed)
		abort();
	check_text(text);
	for (size_t i = 0, taken; i < size; i += taken)
		at += read_back(text + at, needed - at, bytes[i], &taken);
	if (at != needed || shown_text(bytes, size, part, needed / 2 + 1) != needed ||
		strncmp(text, part, strlen(part)) != 0)
		abort();
	free(text);
	free(part);
	return 0;
}
