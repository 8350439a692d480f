/* SPDX-License-Identifier: ISC */
/*
 * output: what the command prints. Results go to standard output, one line about an error to
 * standard error; with --json one object, errors too, to standard output.
 */
#ifndef MORTISE_CLI_OUTPUT_H
#define MORTISE_CLI_OUTPUT_H

#include <jansson.h>
#include <stdint.h>

#include "cli.h"

/* The exit status of the contract for a status. */
int output_exit(enum mortise_status status);
/* Its word in JSON: "not-found" */
const char *output_word(enum mortise_status status);

/* Prints the error "mortise: WHAT; WHAT NEXT" and returns its exit status. */
int output_fail(const struct cli *cli, enum mortise_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with an exit status that no status stands for, and its word in JSON. */
int output_fail_with(const struct cli *cli, int exit, const char *word, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A remark on standard error that is no error. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Prints an object on a line and releases it; what could steer a terminal is spelled as JSON does.
 * NULL stands for no memory. Returns the exit status.
 */
int output_json(json_t *object);

/* Writes all of it past stdio, whose buffers would keep a copy. MORTISE_IO with errno. */
enum mortise_status output_write(int fd, const void *bytes, size_t size) MUST_USE;

/* Prints text from elsewhere, with what could steer a terminal spelled out (shown.h). */
void output_text(const char *text);
/* The same of several lines. */
void output_lines(const char *text, size_t size);

/* A string if the bytes are UTF-8; else NULL: for values, which are all or nothing. */
json_t *output_json_text(const void *bytes, size_t size);
/* A string of text from elsewhere; bytes that are no UTF-8 are spelled out (shown.h). */
json_t *output_json_shown(const void *bytes, size_t size);
json_t *output_json_base64(const void *bytes, size_t size);
json_t *output_json_said(const char *text);
/* 0 to 2^63-1; what is larger is cut to that. */
json_t *output_json_number(uint64_t number);

/* Makes jansson wipe what it frees: values pass through it. */
void output_init(void);

#endif
