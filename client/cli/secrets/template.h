/* SPDX-License-Identifier: ISC */
/*
 * template: text with {{ secret "PATH#FIELD" }} in it, and {{ "{{" }} for what must not be taken
 * for that. Takes the text apart in place; knows nothing of what becomes of a secret.
 */
#ifndef MORTISE_CLI_TEMPLATE_H
#define MORTISE_CLI_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "status.h"

struct template
{
	char *at, *end;
	int line;       /* of what was read last */
	char wrong[96]; /* in words, behind a MORTISE_REJECTED */
};

struct template_part {
	const char *text; /* in the template; of a secret the path, with a NUL behind it */
	size_t size;
	bool is_secret;
};

void template_begin(struct template *template, char *text, size_t size);

/* MORTISE_NOT_FOUND at the end; MORTISE_REJECTED at what is no directive. */
enum mortise_status template_next(struct template *template, struct template_part *out_part)
	MUST_USE;

#endif
