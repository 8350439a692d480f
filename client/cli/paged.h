/* SPDX-License-Identifier: ISC */
/* paged: verifications that the agent does in steps, one a request, with their progress shown. */
#ifndef MORTISE_CLI_PAGED_H
#define MORTISE_CLI_PAGED_H

#include "cli.h"

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
