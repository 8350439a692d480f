/* SPDX-License-Identifier: ISC */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "client.h"

#define AFTER_MS 1000
#define EVERY_MS 200

struct progress progress_begin(const char *what)
{
	return (struct progress){.what = what, .began_ms = client_now_ms()};
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total)
{
	int64_t now_ms = client_now_ms();

	if (!isatty(STDERR_FILENO) || now_ms - progress->began_ms < AFTER_MS ||
		now_ms - progress->shown_ms < EVERY_MS)
		return;
	fprintf(stderr, "\r%s %llu of %llu", progress->what, (unsigned long long)done,
		(unsigned long long)total);
	progress->shown_ms = now_ms;
	progress->is_shown = true;
}

void progress_end(const struct progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
}
