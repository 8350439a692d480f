/* SPDX-License-Identifier: ISC */
/*
 * policy_units: the systemd units that a policy's rules name, and as whom they run on this host: a
 * rule for one that runs as nobody can never fit. What a rule means is for the agent to say; here
 * lines `unit = NAME...` are found, and systemd is asked about them. Without it there are none.
 */
#ifndef MORTISE_CLI_POLICY_UNITS_H
#define MORTISE_CLI_POLICY_UNITS_H

#include "policy_change.h"

struct policy_unit {
	char name[256], section[80]; /* "backup.service", of "rule nightly" */
	bool is_there;               /* systemd has it */
	bool is_nobody;              /* it runs as the user nobody */
};

/* Zeros at first. */
struct policy_units {
	struct policy_unit *unit;
	size_t count;
};

void policy_units_drop(struct policy_units *units);

/* Those of sections whose kind ("rule") is given; patterns and units of users are left out. */
void policy_units_find(
	const struct policy_files *files, const char *kind, struct policy_units *out_units);

/* False if systemd cannot be asked. */
bool policy_units_ask(struct policy_units *units);

/* Warns on standard error of rules that can never fit. */
void policy_units_warn(const struct cli *cli, const struct policy_files *files);

#endif
