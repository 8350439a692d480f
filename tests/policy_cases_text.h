/* SPDX-License-Identifier: ISC */
/* policy_cases_text: the texts of random policies. Private to policy_cases.c. */
#ifndef MORTISE_TESTS_POLICY_CASES_TEXT_H
#define MORTISE_TESTS_POLICY_CASES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERB_WORDS 8

struct bytes {
	const uint8_t *at;
	size_t left;
};

struct writer {
	struct bytes *bytes;
	char text[8192];
	size_t used;
	size_t starts[10]; /* of the rules, and their end */
};

extern const char *const verbs[VERB_WORDS];

/* A byte's choice; the first one where no byte is left. */
unsigned draw(struct bytes *bytes, unsigned below);

#define PICK(bytes, words) ((words)[draw(bytes, sizeof(words) / sizeof((words)[0]))])

/* Writes [rule rNUMBER]. */
void put_rule(struct writer *writer, unsigned number);

#endif
