/* SPDX-License-Identifier: ISC */
#include "policy_units.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "output.h"
#include "program.h"

#define SYSTEMCTL "systemctl"
#define NOBODY_ID "65534"
#define AT_ONCE   64 /* units asked of systemctl: what it says of them fits a program_said */

/* ---- finding ---- */

struct place {
	const char *kind;
	char section[80];
	bool is_wanted;
};

static size_t blanks(const char *text)
{
	return strspn(text, " \t");
}

/* "[rule NAME]" begins a section; of a line of another kind nothing changes. */
static bool take_header(struct place *place, const char *line, size_t size)
{
	size_t kind_size = strlen(place->kind);

	if (size < 2 || line[0] != '[')
		return false;
	place->is_wanted = size > kind_size + 2 && memcmp(line + 1, place->kind, kind_size) == 0 &&
			   line[1 + kind_size] == ' ';
	(void)snprintf(place->section, sizeof place->section, "%.*s", (int)strcspn(line + 1, "]\n"),
		line + 1);
	return true;
}

static void add(
	struct policy_units *units, const struct place *place, const char *name, size_t size)
{
	struct policy_unit *unit;

	if (size == 0 || size >= sizeof unit->name || memchr(name, '*', size) ||
		memchr(name, ':', size))
		return;
	unit = array_room(units->unit, units->count, sizeof *unit);
	if (!unit)
		return;
	units->unit = unit;
	unit += units->count;
	*unit = (struct policy_unit){.is_there = false};
	memcpy(unit->name, name, size);
	memcpy(unit->section, place->section, sizeof unit->section);
	units->count++;
}

/* `unit = a.service b.service   ; a remark` */
static void take_line(
	struct policy_units *units, struct place *place, const char *line, const char *end)
{
	line += blanks(line);
	if (take_header(place, line, (size_t)(end - line)) || !place->is_wanted ||
		strncmp(line, "unit", 4) != 0)
		return;
	line += 4 + blanks(line + 4);
	if (*line++ != '=')
		return;
	for (line += blanks(line); line < end && *line != ';'; line += blanks(line)) {
		size_t size = strcspn(line, " \t\n;");

		add(units, place, line, size);
		line += size;
	}
}

/* malloc'ed, with a NUL at its end. */
static char *copy_text(const struct policy_file *file)
{
	char *text = malloc(file->size + 1);

	if (text) {
		memcpy(text, file->bytes, file->size);
		text[file->size] = '\0';
	}
	return text;
}

void policy_units_drop(struct policy_units *units)
{
	free(units->unit);
	*units = (struct policy_units){NULL, 0};
}

void policy_units_find(
	const struct policy_files *files, const char *kind, struct policy_units *out_units)
{
	policy_units_drop(out_units);
	for (int i = 0; i < files->count; i++) {
		struct place place = {.kind = kind};
		char *text = copy_text(&files->file[i]);

		for (const char *line = text; line && *line != '\0';) {
			const char *end = line + strcspn(line, "\n");

			take_line(out_units, &place, line, end);
			line = *end == '\n' ? end + 1 : end;
		}
		free(text);
	}
}

/* ---- asking ---- */

/* `systemctl show` says the properties of each unit in turn, an empty line between two. */
static void read_answer(struct policy_unit *unit, const struct policy_unit *end, char *text)
{
	for (char *line = text; unit < end && *line != '\0';) {
		char *next = line + strcspn(line, "\n");

		if (*next == '\n')
			*next++ = '\0';
		if (line[0] == '\0')
			unit++;
		else if (strcmp(line, "LoadState=loaded") == 0)
			unit->is_there = true;
		else if (strcmp(line, "User=nobody") == 0 || strcmp(line, "User=" NOBODY_ID) == 0)
			unit->is_nobody = true;
		line = next;
	}
}

static bool ask(struct policy_unit *unit, size_t count)
{
	const char *argv[AT_ONCE + 6] = {
		SYSTEMCTL, "show", "--property=LoadState", "--property=User", "--"};
	struct program_said said = {""};

	for (size_t i = 0; i < count; i++)
		argv[5 + i] = unit[i].name;
	if (program_run(argv, PROGRAM_OUTPUT, &said) != 0)
		return false;
	read_answer(unit, unit + count, said.text);
	return true;
}

bool policy_units_ask(struct policy_units *units)
{
	for (size_t at = 0; at < units->count; at += AT_ONCE)
		if (!ask(units->unit + at,
			    units->count - at < AT_ONCE ? units->count - at : AT_ONCE))
			return false;
	return units->count > 0;
}

void policy_units_warn(const struct cli *cli, const struct policy_files *files)
{
	CLEANUP(policy_units_drop) struct policy_units units = {NULL, 0};

	if (cli->is_json)
		return;
	policy_units_find(files, "rule", &units);
	(void)policy_units_ask(&units);
	for (size_t i = 0; i < units.count; i++)
		if (units.unit[i].is_nobody)
			output_note("warning: [%s] can never match in unit %s, which runs as "
				    "nobody and is never served; give it a User= of its own, or "
				    "use a [credential]",
				units.unit[i].section, units.unit[i].name);
}
