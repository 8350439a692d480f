/* SPDX-License-Identifier: ISC */
/* sealer_options: the sealer's command line, as the monitor writes it. Prints help and version. */
#ifndef MORTISE_SEALER_OPTIONS_H
#define MORTISE_SEALER_OPTIONS_H

#include <stdbool.h>

#include "token.h"

#define SEALER_EXIT_USAGE 64 /* EX_USAGE of sysexits.h */

/* False: the program ends with *out_exit. */
bool sealer_options_read(int argc, char **argv, struct token_options *options, int *out_exit)
	MUST_USE;

#endif
