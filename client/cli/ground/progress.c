/* SPDX-License-Identifier: ISC */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "client.h"
#include "shown.h"

#define SHOW_AFTER_MS 1000
#define SHOW_EVERY_MS 200

struct progress progress_begin(void)
{
	return (struct progress){.began_ms = client_now_ms()};
}

void progress_show(struct progress *progress, const char *format, ...)
{
	int64_t now_ms = client_now_ms();
	char line[1024], shown[2048];
	va_list arguments;

	if (now_ms - progress->began_ms < SHOW_AFTER_MS ||
		now_ms - progress->shown_ms < SHOW_EVERY_MS || !isatty(STDERR_FILENO))
		return;
	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	(void)shown_text(line, strlen(line), shown, sizeof shown);
	fprintf(stderr, "\r\033[K%s", shown);
	progress->shown_ms = now_ms;
	progress->is_shown = true;
}

void progress_clear(struct progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
	progress->is_shown = false;
}

#define CURSOR_MAX 512

/* What an answer says of how far it is, and of where the next one begins. */
static enum mortise_status take(struct cli *cli, const struct wire_message *reply,
	uint8_t cursor[CURSOR_MAX], size_t *cursor_size, struct paged *totals)
{
	const struct wire_field *next = wire_field_of(reply, WIRE_TAG_CURSOR);

	totals->done = ask_number(reply, WIRE_TAG_DONE, totals->done);
	totals->total = ask_number(reply, WIRE_TAG_TOTAL, totals->total);
	totals->number = ask_number(reply, WIRE_TAG_NUMBER, 0);
	totals->sum += totals->number;
	if (wire_text(reply, WIRE_TAG_TEXT, totals->text, sizeof totals->text) != MORTISE_OK)
		totals->text[0] = '\0';
	*cursor_size = 0;
	if (!ask_flag(reply, WIRE_TAG_MORE))
		return MORTISE_OK;
	if (next->size == 0 || next->size > CURSOR_MAX)
		return client_fail(cli->agent, MORTISE_IO, "the agent's reply is malformed");
	memcpy(cursor, next->bytes, next->size);
	*cursor_size = next->size;
	return MORTISE_OK;
}

static enum mortise_status step(struct cli *cli, enum wire_opcode opcode,
	uint8_t cursor[CURSOR_MAX], size_t *cursor_size, struct paged *totals)
{
	struct wire_writer *writer = client_begin(cli->agent, opcode);
	struct wire_message reply;

	if (*cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, cursor, *cursor_size);
	TRY(client_call(cli->agent, &reply));
	return take(cli, &reply, cursor, cursor_size, totals);
}

static enum mortise_status go_on(struct cli *cli, enum wire_opcode opcode,
	uint8_t cursor[CURSOR_MAX], size_t cursor_size, struct paged *totals)
{
	struct progress progress = progress_begin();
	enum mortise_status status = MORTISE_OK;

	while (status == MORTISE_OK && cursor_size > 0) {
		status = step(cli, opcode, cursor, &cursor_size, totals);
		progress_show(&progress, "verified %llu of %llu", (unsigned long long)totals->done,
			(unsigned long long)totals->total);
	}
	progress_clear(&progress);
	return status;
}

enum mortise_status paged_run(struct cli *cli, enum wire_opcode opcode, struct paged *out_totals)
{
	uint8_t cursor[CURSOR_MAX];
	size_t cursor_size = 0;

	TRY(step(cli, opcode, cursor, &cursor_size, out_totals));
	return go_on(cli, opcode, cursor, cursor_size, out_totals);
}

enum mortise_status paged_go_on(struct cli *cli, enum wire_opcode opcode,
	const struct wire_message *first, struct paged *out_totals)
{
	uint8_t cursor[CURSOR_MAX];
	size_t cursor_size = 0;

	TRY(take(cli, first, cursor, &cursor_size, out_totals));
	return go_on(cli, opcode, cursor, cursor_size, out_totals);
}
