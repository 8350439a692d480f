/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer on a policy's text as it is shown: what is taken apart gives the same text when it is
 * put together again, and the units that are found in it are words of it.
 */
#include <stdlib.h>
#include <string.h>

#include "policy_units.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_units(const struct policy_files *files, const char *text)
{
	static struct policy_units units;
	static const char *const kinds[] = {"rule", "credential"};

	for (int kind = 0; kind < 2; kind++) {
		policy_units_find(files, kinds[kind], &units);
		for (size_t i = 0; i < units.count; i++)
			if (units.unit[i].name[0] == '\0' ||
				strstr(text, units.unit[i].name) == NULL ||
				strstr(text, units.unit[i].section) == NULL)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct policy_files files;
	char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	memcpy(text, bytes, size);
	text[size] = '\0';
	if (strlen(text) == size && policy_files_split(text, &files)) {
		char *again = policy_files_shown(&files);

		if (again == NULL || (files.count > 0 && strcmp(again, text) != 0))
			abort();
		check_units(&files, text);
		free(again);
	}
	policy_files_drop(&files);
	files.size = 0;
	free(text);
	return 0;
}
