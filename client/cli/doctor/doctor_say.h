/* SPDX-License-Identifier: ISC */
/*
 * doctor_say: what the checks of `mortise doctor` share. A check reads the agent's facts, or asks
 * and looks for more, and says what it finds; one that can't look says so, and the others go on.
 */
#ifndef MORTISE_CLI_DOCTOR_SAY_H
#define MORTISE_CLI_DOCTOR_SAY_H

#include <jansson.h>
#include <stdint.h>

#include "cli.h"

enum severity {
	DOCTOR_OK,
	DOCTOR_NOTE,    /* as it is meant, perhaps; good to know */
	DOCTOR_WARNING, /* works now, and will not if something more happens */
	DOCTOR_WRONG,   /* does not work, or will not at the next boot */
};

struct doctor {
	struct cli *cli;
	json_t *facts;     /* of STATUS and DOCTOR, by name; empty without an agent */
	json_t *findings;  /* {check, severity, text, remedy}, in the order of the checks */
	const char *check; /* that says what is said now */
	bool is_there;     /* an agent answers; else absence says why not */
	bool is_stranger;  /* who is told its state, and no more */
	bool is_admin;
	bool is_unsealed;
	bool is_incomplete;     /* memory was short */
	uint64_t older_than_us; /* values of before are old; 0: none is by age alone */
	char absence[WIRE_TEXT_MAX];
};

/* "warning" and so on, as it is printed. */
const char *doctor_severity(enum severity severity);

/* remedy: what to do, best a command; NULL for none. */
void doctor_say(struct doctor *doctor, enum severity severity, const char *remedy,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * Says what the agent said, "what happened; what to do next", as a text and a remedy; before, which
 * may be "", stands before it.
 */
void doctor_repeat(
	struct doctor *doctor, enum severity severity, const char *before, const char *said);

/* NULL, or false, for a fact that the agent does not tell. */
const char *doctor_text(const json_t *facts, const char *name);
bool doctor_number(const json_t *facts, const char *name, uint64_t *out_number);

typedef void doctor_check(struct doctor *doctor);

#endif
