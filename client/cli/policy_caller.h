/* SPDX-License-Identifier: ISC */
/* policy_caller: whom `policy check` and `policy may` ask about: options, and their fields. */
#ifndef MORTISE_CLI_POLICY_CALLER_H
#define MORTISE_CLI_POLICY_CALLER_H

#include "cli.h"

struct policy_caller {
	const char *user, *unit, *exe, *label, *listener; /* NULL: not said */
	char groups[WIRE_TEXT_MAX];                       /* by blanks; "": not said */
};

/* The options of both commands, for their tables. */
#define POLICY_CALLER_OPTIONS                                                                      \
	{"user", 'u', "U", "for this user, by name or number, not for you"},                       \
		{"group", 'g', "G", "in this group (repeatable), not in the user's own"},          \
		{"unit", 0, "UNIT", "in this systemd unit; its slices may follow by blanks"},      \
		{"exe", 0, "PROGRAM", "running this program"},                                     \
		{"label", 0, "LABEL", "with this SELinux label or type, or AppArmor profile"},     \
	{                                                                                          \
		"listener", 0, "NAME", "at this [socket NAME], not at the main one"                \
	}

/* CLI_DONE, or CLI_USAGE after saying what is wrong. */
int policy_caller_read(const struct cli *cli, struct policy_caller *out_caller);

/* Fields stand in ascending order: a command puts its own between these. */
void policy_caller_put_label(struct wire_writer *writer, const struct policy_caller *caller);
void policy_caller_put_names(struct wire_writer *writer, const struct policy_caller *caller);
void policy_caller_put_facts(struct wire_writer *writer, const struct policy_caller *caller);

#endif
