/* SPDX-License-Identifier: ISC */
/*
 * A log of anything: the check neither crashes nor accepts it, and what the strict reader
 * takes is what the writer makes. The first byte chooses what the rest is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_log(const uint8_t *bytes, size_t size)
{
	static const uint8_t key[32] = {1};
	struct audit_check *check = NULL;
	size_t half = size / 2;

	if (audit_check_new(key, &check) != MORTISE_OK)
		return;
	if (audit_check_feed(check, bytes, half) == MORTISE_OK &&
		audit_check_feed(check, bytes + half, size - half) == MORTISE_OK)
		must(audit_check_end(check, NULL) == MORTISE_OK ||
			audit_check_complaint(check)[0] != '\0');
	else
		must(audit_check_complaint(check)[0] != '\0');
	audit_check_free(check);
}

/* Bytes of a client make a line that is bounded and that the reader takes. */
static void check_written(const uint8_t *bytes, size_t size)
{
	static const uint8_t prev[AUDIT_HASH_SIZE];
	char buffer[AUDIT_LINE_MAX], note[AUDIT_LINE_MAX] = "";
	struct audit_event event = {.operation = "get",
		.path = (const char *)bytes,
		.path_size = size,
		.note = note,
		.result = MORTISE_DENIED};
	struct audit_clock clock = {0};
	struct audit_line line;
	size_t written;

	memcpy(note, bytes, size < sizeof note ? size : sizeof note - 1);
	audit_clock_set(&clock, size * 1000003);
	written = audit_line_format(buffer, &clock, 7, &event, NULL, prev);
	must(written > 0 && written <= sizeof buffer && buffer[written - 1] == '\n');
	must(memchr(buffer, '\n', written - 1) == NULL);
	must(audit_line_parse(buffer, written - 1, &line) == MORTISE_OK && line.sequence == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0)
		return 0;
	if (bytes[0] % 2 == 0)
		check_log(bytes + 1, size - 1);
	else
		check_written(bytes + 1, size - 1);
	return 0;
}
