/* SPDX-License-Identifier: ISC */
/* progress: how far something long has come, on standard error if that is a terminal. */
#ifndef MORTISE_CLI_PROGRESS_H
#define MORTISE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int64_t began_ms, shown_ms;
	bool is_shown;
};

struct progress progress_begin(void);
/* Shows a line in place of the last one; not in the first second, and not too often. */
void progress_show(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Removes the line, before something else is printed or at the end. */
void progress_clear(struct progress *progress);

#endif
