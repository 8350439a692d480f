/* SPDX-License-Identifier: ISC */
/* caller: who runs this command, in the words of a rule, for the text of a denial. */
#ifndef MORTISE_CLI_CALLER_H
#define MORTISE_CLI_CALLER_H

#include <stdbool.h>
#include <stddef.h>

struct caller {
	char user[64];  /* the name, or the number of one without */
	char text[256]; /* "backup, uid 34, unit cron.service" */
	bool is_nobody; /* it is the id that stands for anyone from another user namespace */
};

struct caller caller_find(void);

/* Is it a unit that a rule is likely to name? What a person at a terminal is in is none. */
bool caller_is_telling(const char *units);

/* The systemd unit in the text of /proc/PID/cgroup; "" if there is none. */
void caller_unit(const char *cgroup, char *out_unit, size_t unit_size);

#endif
