/* SPDX-License-Identifier: ISC */
/* program: what another program says, to be looked at. It gets no input, and is waited for. */
#ifndef MORTISE_CLI_PROGRAM_H
#define MORTISE_CLI_PROGRAM_H

#define PROGRAM_SAID_MAX 65536

struct program_said {
	char text[PROGRAM_SAID_MAX]; /* what is more is left out */
};

enum program_stream { PROGRAM_OUTPUT = 1, PROGRAM_ERROR = 2 };

/*
 * argv ends with NULL; without a / in its name it is looked for in PATH. The other stream goes to
 * /dev/null. The exit status; -1 if it could not be run or was ended by a signal.
 */
int program_run(const char *const *argv, enum program_stream stream, struct program_said *out_said);

#endif
