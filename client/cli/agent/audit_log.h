/* SPDX-License-Identifier: ISC */
/* audit_log: all lines of the agent's audit log, oldest first. */
#ifndef MORTISE_CLI_AUDIT_LOG_H
#define MORTISE_CLI_AUDIT_LOG_H

#include "cli.h"

/* A line without its newline. Anything but MORTISE_OK ends the walk. */
typedef enum mortise_status audit_walk_take(void *context, const char *line, size_t size);

/*
 * Up to where the log ended at first: the walk itself makes it grow. out_damage, or NULL:
 * what the agent says of a log that is damaged; "" if it does not.
 */
enum mortise_status audit_walk(struct cli *cli, audit_walk_take *take, void *context,
	char out_damage[WIRE_TEXT_MAX]) MUST_USE;

#endif
