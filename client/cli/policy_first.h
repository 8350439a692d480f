/* SPDX-License-Identifier: ISC */
/*
 * policy_first: the policy that init brings, as the first file of policy.d: who writes rules of his
 * own beside it and applies them stays an administrator.
 */
#ifndef MORTISE_CLI_POLICY_FIRST_H
#define MORTISE_CLI_POLICY_FIRST_H

#include "cli.h"

/*
 * Writes it where the agent is the host's own and POLICY_DIRECTORY has no policy yet. Its path;
 * NULL where it is left to whoever ran init.
 */
const char *policy_first_keep(const struct cli *cli, const void *text, size_t size);

#endif
