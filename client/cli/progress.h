/* SPDX-License-Identifier: ISC */
/*
 * progress: a line on standard error that says how far long work has got, if that is a terminal
 * and the work takes longer than a second.
 */
#ifndef MORTISE_CLI_PROGRESS_H
#define MORTISE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "verified" */
	int64_t began_ms, shown_ms;
	bool is_shown;
};

struct progress progress_begin(const char *what);
void progress_show(struct progress *progress, uint64_t done, uint64_t total);
/* Clears the line. */
void progress_end(const struct progress *progress);

#endif
