/* SPDX-License-Identifier: ISC */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "shown.h"

#define SHOW_AFTER_MS 1000
#define SHOW_EVERY_MS 200

struct progress progress_begin(void)
{
	return (struct progress){.began_ms = client_now_ms()};
}

void progress_show(struct progress *progress, const char *format, ...)
{
	int64_t now_ms = client_now_ms();
	char line[1024], shown[2048];
	va_list arguments;

	if (now_ms - progress->began_ms < SHOW_AFTER_MS ||
		now_ms - progress->shown_ms < SHOW_EVERY_MS || !isatty(STDERR_FILENO))
		return;
	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	(void)shown_text(line, strlen(line), shown, sizeof shown);
	fprintf(stderr, "\r\033[K%s", shown);
	progress->shown_ms = now_ms;
	progress->is_shown = true;
}

void progress_clear(struct progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
	progress->is_shown = false;
}
