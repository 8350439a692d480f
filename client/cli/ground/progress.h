/* SPDX-License-Identifier: ISC */
/* progress: how far something long has come, on standard error if that is a terminal. */
#ifndef MORTISE_CLI_PROGRESS_H
#define MORTISE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

struct progress {
	int64_t began_ms, shown_ms;
	bool is_shown;
};

struct progress progress_begin(void);
/* Shows a line in place of the last one; not in the first second, and not too often. */
void progress_show(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Removes the line, before something else is printed or at the end. */
void progress_clear(struct progress *progress);

/* Verifications that the agent does in steps, one a request, with their progress shown. */

struct paged {
	uint64_t done, total;
	uint64_t number, sum;     /* the last step's NUMBER, and that of all steps */
	char text[WIRE_TEXT_MAX]; /* the last step's, or "" */
};

/* All steps; out_totals is zeroed before. */
enum mortise_status paged_run(struct cli *cli, enum wire_opcode opcode, struct paged *out_totals)
	MUST_USE;

/* Those behind the first, whose answer is there. */
enum mortise_status paged_go_on(struct cli *cli, enum wire_opcode opcode,
	const struct wire_message *first, struct paged *out_totals) MUST_USE;

#endif
