/* SPDX-License-Identifier: ISC */
/*
 * log: lines for the operator, on standard error (the journal adds time and name).
 * Where JOURNAL_STREAM names standard error, a line starts with its syslog priority, "<4>".
 * Only mains, request and lifecycle log; what is below them returns codes. Never a value, a
 * key, or bytes of a client other than a checked path.
 */
#ifndef MORTISE_LOG_H
#define MORTISE_LOG_H

#define LOG_FORMAT __attribute__((format(printf, 1, 2)))

/* name: "mortised", "mortise-sealer"; must stay valid. */
void log_open(const char *name);
void log_error(const char *format, ...) LOG_FORMAT;
void log_warning(const char *format, ...) LOG_FORMAT;
void log_info(const char *format, ...) LOG_FORMAT;

#endif
