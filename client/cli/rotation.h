/* SPDX-License-Identifier: ISC */
/*
 * rotation: one secret's way to a new value: create, set, test, finish, and only then is the new
 * version the current one. Whatever fails before leaves the current version as it was; the value
 * to come then stays pending in the agent, and the next run goes on with `set`. Prints nothing.
 */
#ifndef MORTISE_CLI_ROTATION_H
#define MORTISE_CLI_ROTATION_H

#include "ask.h"
#include "generate.h"

struct rotation {
	struct ask_path path;
	const struct generate *generate; /* NULL: the hook's create step, or a password */
	uint64_t before, version;        /* current at first; the new one */
	bool was_pending, has_hook;
	const char *step;           /* that failed; NULL: none did, or none was begun */
	enum mortise_status status; /* of the agent; MORTISE_OK: it was the hook */
	char text[WIRE_TEXT_MAX];   /* what went wrong; "": nothing */
	int signal;                 /* that mortise was to end by meanwhile; 0: none */
};

/* True if the secret has its new version (or would have, in a dry run). */
bool rotation_run(struct cli *cli, struct rotation *rotation);

/* Takes the pending value away. False with what went wrong; none is no error: version is 0. */
bool rotation_abort(struct cli *cli, struct rotation *rotation);

#endif
