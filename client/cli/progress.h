/* SPDX-License-Identifier: ISC */
/*
 * progress: how far something is that takes longer than a second: one line on standard error
 * that is overwritten and at last removed, if standard error is a terminal.
 */
#ifndef MORTISE_CLI_PROGRESS_H
#define MORTISE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *verb; /* "verified" */
	int64_t began_ms, shown_ms;
	bool is_shown;
};

struct progress progress_begin(const char *verb);
void progress_show(struct progress *progress, uint64_t done, uint64_t total);
void progress_end(const struct progress *progress);

#endif
