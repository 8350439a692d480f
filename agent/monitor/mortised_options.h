/* SPDX-License-Identifier: ISC */
/*
 * mortised_options: the agent's command line. Reads it in main and nowhere else: what is wrong
 * there ends the process.
 */
#ifndef MORTISE_MORTISED_OPTIONS_H
#define MORTISE_MORTISED_OPTIONS_H

#include <stdbool.h>

struct mortised_options {
	const char *config_path; /* NULL: the default, which may be absent */
	const char *sealer_path;
	int ready_fd; /* -1: none */
	bool check_only;
};

/* Exits for --help, --version (0) and for what cannot be understood (64). */
struct mortised_options mortised_options_read(int argc, char **argv);

/* Says what is wrong with the command line, and exits with 64. */
_Noreturn void mortised_misuse(const char *text);

#endif
