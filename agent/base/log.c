/* SPDX-License-Identifier: ISC */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "text.h"

#define LINE_MAX_BYTES 2048

static const char *log_name = "mortise";
static bool log_to_journal;

/* JOURNAL_STREAM is inherited by whatever redirects its output; only its own stream counts. */
static bool is_journal(const char *stream)
{
	uintmax_t device, inode;
	struct stat about;

	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	if (fstat(STDERR_FILENO, &about) != 0)
		return false;
	return about.st_dev == (dev_t)device && about.st_ino == (ino_t)inode;
}

void log_open(const char *name)
{
	log_name = name;
	log_to_journal = is_journal(getenv("JOURNAL_STREAM"));
}

/* Whatever a line quotes, it stays one line and moves no terminal's cursor. */
static void flatten(char *line, size_t size)
{
	uint32_t point = 0;

	for (size_t i = 0; i < size;) {
		size_t length = text_character(line + i, size - i, &point);

		if (length == 0 || text_steers(point))
			memset(line + i, '?', length > 0 ? length : 1);
		i += length > 0 ? length : 1;
	}
}

static size_t clamp(int printed, size_t room)
{
	if (printed < 0)
		return 0;
	return (size_t)printed < room ? (size_t)printed : room - 1;
}

/* One write, so that lines of monitor, keeper and sealer do not mix. */
static void put(int priority, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void put(int priority, const char *format, va_list arguments)
{
	char line[LINE_MAX_BYTES];
	size_t size, room = sizeof line - 1; /* the newline */
	ssize_t written;

	if (log_to_journal)
		size = clamp(snprintf(line, room, "<%d>", priority), room);
	else
		size = clamp(snprintf(line, room, "%s: ", log_name), room);
	size += clamp(vsnprintf(line + size, room - size, format, arguments), room - size);
	flatten(line, size);
	line[size++] = '\n';
	written = write(STDERR_FILENO, line, size);
	(void)written;
}

void log_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put(LOG_ERR, format, arguments);
	va_end(arguments);
}

void log_warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put(LOG_WARNING, format, arguments);
	va_end(arguments);
}

void log_info(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put(LOG_INFO, format, arguments);
	va_end(arguments);
}
