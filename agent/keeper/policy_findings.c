/* SPDX-License-Identifier: ISC */
#include "policy_findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_answers.h"

#define CHANGES_SIZE  49152 /* bytes of items */
#define WARNINGS_SIZE 32768
#define PROGRAMS_SIZE 16384
#define ITEM_ROOM     128 /* for headers and numbers of an item */
#define TEXT_SIZE     1000

/* Lines of one kind: those that fit, and how many do not. */
struct section {
	size_t size, used, left_out;
};

struct policy_findings {
	uint8_t bytes[CHANGES_SIZE + WARNINGS_SIZE + PROGRAMS_SIZE + 4096];
	struct wire_writer writer;
	struct section changes, warnings, programs;
	char exe[4097]; /* the program that the next warning asks to be looked at; "": none */
};

/* Copies what fits, and no half a character. */
static void cut(char text[TEXT_SIZE], const char *line)
{
	size_t size = strlen(line);

	if (size >= TEXT_SIZE) {
		size = TEXT_SIZE - 4;
		while (size && ((unsigned char)line[size] & 0xc0) == 0x80)
			size--;
		memcpy(text + size, "...", 4);
		memcpy(text, line, size);
		return;
	}
	memcpy(text, line, size + 1);
}

static bool has_room(struct section *section, size_t size)
{
	if (section->used + size + ITEM_ROOM > section->size) {
		section->left_out++;
		return false;
	}
	section->used += size + ITEM_ROOM;
	return true;
}

static void add_change(void *context, const char *line)
{
	struct policy_findings *findings = context;
	char text[TEXT_SIZE];

	cut(text, line);
	if (!has_room(&findings->changes, strlen(text)))
		return;
	size_t item = wire_item_begin(&findings->writer);
	wire_put_text(&findings->writer, WIRE_TAG_TEXT, text);
	wire_item_end(&findings->writer, item);
}

/* Files are out of the keeper's reach: who asks looks at the program, if the warning has one. */
static bool ask_to_look(void *context, const char *exe)
{
	struct policy_findings *findings = context;

	if (strlen(exe) >= sizeof findings->exe)
		return false;
	memcpy(findings->exe, exe, strlen(exe) + 1);
	return true;
}

static void put_warning(struct policy_findings *findings, const char *text, const char *file,
	unsigned line, unsigned column)
{
	struct wire_writer *writer = &findings->writer;
	size_t item = wire_item_begin(writer);

	wire_put_text(writer, WIRE_TAG_TEXT, text);
	wire_put_text(writer, WIRE_TAG_NAME, file);
	wire_put_number(writer, WIRE_TAG_NUMBER, line);
	if (findings->exe[0])
		wire_put_text(writer, WIRE_TAG_CHUNK, findings->exe);
	wire_put_number(writer, WIRE_TAG_OFFSET, column);
	wire_item_end(writer, item);
}

static void add_warning(void *context, const struct policy_warning *warning)
{
	struct policy_findings *findings = context;
	struct section *section = findings->exe[0] ? &findings->programs : &findings->warnings;
	char text[TEXT_SIZE];

	cut(text, warning->text);
	if (has_room(section, strlen(text) + strlen(warning->file) + strlen(findings->exe)))
		put_warning(findings, text, warning->file, warning->line, warning->column);
	findings->exe[0] = '\0';
}

static void tell_left_out(struct policy_findings *findings)
{
	char text[TEXT_SIZE];

	if (findings->warnings.left_out) {
		snprintf(text, sizeof text, "and %zu more warnings", findings->warnings.left_out);
		put_warning(findings, text, "", 0, 0);
	}
	if (findings->programs.left_out) {
		snprintf(text, sizeof text, "%zu more programs were not looked at",
			findings->programs.left_out);
		put_warning(findings, text, "", 0, 0);
	}
}

static enum mortise_status gather(struct policy_findings *findings, const struct policy *before,
	const struct policy *after, time_t now)
{
	const struct policy_warning_options options = {
		.now = now, .is_script = ask_to_look, .context = findings};
	char text[64];

	TRY(policy_compare(before, after, add_change, findings));
	if (findings->changes.left_out) {
		snprintf(text, sizeof text, "and %zu more changes", findings->changes.left_out);
		findings->changes.size += sizeof text + ITEM_ROOM;
		add_change(findings, text);
	}
	TRY(policy_warnings(after, &options, add_warning, findings));
	tell_left_out(findings);
	return MORTISE_OK;
}

enum mortise_status policy_findings_new(const struct policy *before, const struct policy *after,
	time_t now, struct policy_findings **out_findings)
{
	struct policy_findings *findings = calloc(1, sizeof *findings);

	if (!findings)
		return MORTISE_BUSY;
	findings->changes.size = CHANGES_SIZE;
	findings->warnings.size = WARNINGS_SIZE;
	findings->programs.size = PROGRAMS_SIZE;
	findings->writer =
		(struct wire_writer){.bytes = findings->bytes, .capacity = sizeof findings->bytes};
	enum mortise_status status = gather(findings, before, after, now);
	if (status != MORTISE_OK) {
		policy_findings_free(findings);
		return status;
	}
	*out_findings = findings;
	return MORTISE_OK;
}

void policy_findings_put(const struct policy_findings *findings, struct wire_writer *reply)
{
	wire_put(reply, WIRE_TAG_ITEMS, findings->writer.bytes, findings->writer.size);
}

void policy_findings_free(struct policy_findings *findings)
{
	free(findings);
}
