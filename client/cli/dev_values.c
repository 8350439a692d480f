/* SPDX-License-Identifier: ISC */
#include "dev_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envfile_input.h"
#include "output.h"

struct reading {
	const struct cli *cli;
	const char *name; /* of the file */
	struct dev_values *values;
};

/* False: no path has this name in it. */
static bool make_path(const char *name, char path[MORTISE_PATH_MAX + 1])
{
	int size = snprintf(path, MORTISE_PATH_MAX + 1, DEV_ENVIRONMENT "/%s", name);

	for (char *at = path; *at != '\0'; at++) {
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
		else if (*at == '_')
			*at = '-';
	}
	return size <= MORTISE_PATH_MAX && path[sizeof DEV_ENVIRONMENT] != '-';
}

static int refuse(
	const struct reading *reading, const struct envfile_entry *entry, const char *wrong)
{
	return output_fail(reading->cli, MORTISE_REJECTED, "%s:%d: %s %s", reading->name,
		entry->line, entry->name, wrong);
}

static int refuse_double(const struct reading *reading, const struct envfile_entry *entry,
	const struct dev_value *first)
{
	char wrong[MORTISE_PATH_MAX + 64];

	(void)snprintf(wrong, sizeof wrong, "would be %s, and so is line %d; leave one out",
		first->path, first->line);
	return refuse(reading, entry, wrong);
}

static int take(void *context, const struct envfile_entry *entry)
{
	const struct reading *reading = context;
	struct dev_values *values = reading->values;
	struct dev_value value = {.text = entry->value, .line = entry->line}, *list;

	if (!make_path(entry->name, value.path))
		return refuse(reading, entry,
			"gives no path: it must begin with a letter and have at most 251 bytes");
	if (strncmp(entry->value, ENVFILE_REFERENCE, strlen(ENVFILE_REFERENCE)) == 0)
		return refuse(reading, entry,
			"names a secret instead of having a value; a dev agent has none yet");
	for (size_t i = 0; i < values->count; i++)
		if (strcmp(values->list[i].path, value.path) == 0)
			return refuse_double(reading, entry, &values->list[i]);
	list = reallocarray(values->list, values->count + 1, sizeof *list);
	if (list == NULL)
		return output_fail(reading->cli, MORTISE_IO, "out of memory");
	values->list = list;
	list[values->count++] = value;
	return CLI_DONE;
}

int dev_values_read(const struct cli *cli, const char *name, struct dev_values *values)
{
	struct reading reading = {cli, name, values};

	return envfile_input_read(cli, name, &values->input, take, &reading);
}

void dev_values_done(struct dev_values *values)
{
	free(values->list);
	input_free(&values->input);
	*values = (struct dev_values){0};
}
