/* SPDX-License-Identifier: ISC */
/* recovery_key: where a command has its recovery key from. */
#ifndef MORTISE_CLI_RECOVERY_KEY_H
#define MORTISE_CLI_RECOVERY_KEY_H

#include "input.h"

/*
 * From --recovery-file=F, or asked for on the terminal. The key is in input, which the caller
 * frees (and which may be NULL: out of memory). CLI_DONE, or an exit status after the error.
 */
int recovery_key_obtain(
	const struct cli *cli, struct input *input, const char **out_key, size_t *out_size);

#endif
