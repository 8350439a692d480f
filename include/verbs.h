/* SPDX-License-Identifier: ISC */
/*
 * verbs: what a rule allows or denies; the one list of them, for policies, listeners, requests and
 * the command. A new one is a line in the enum and a row in verbs.c.
 */
#ifndef MORTISE_VERBS_H
#define MORTISE_VERBS_H

#include <stdbool.h>
#include <stddef.h>

/* Bits, so that a rule can have several; on the disk they stand as names. */
enum verb {
	VERB_READ = 1,
	VERB_LIST = 2,
	VERB_WRITE = 4,
	VERB_DELETE = 8,
	VERB_ROTATE = 16,
	VERB_AUDIT = 32,
	VERB_ADMIN = 64,
};

struct verb_row {
	enum verb verb;
	const char *name;
	bool is_of_secrets; /* it is about secrets, which a rule names; else about the agent */
	bool takes_room;    /* what it allows needs room on the store's disk */
};

#define VERB_COUNT 7
extern const struct verb_row verb_rows[VERB_COUNT]; /* in the order in which people are told them */

/* The verb of that name, or of those size bytes; or 0. */
enum verb verb_of_name(const char *name);
enum verb verb_of_word(const char *word, size_t size);
/* "read"; "?" for what is no single verb. */
const char *verb_name(enum verb verb);

/* Bits of those about secrets; of all. */
unsigned verbs_of_secrets(void);
unsigned verbs_all(void);
/* Has one of these bits a verb that takes room? */
bool verbs_take_room(unsigned verbs);

#define VERB_WORDS_SIZE 128
/* "read, list or write" of the bits, with "or" or whatever else stands before the last one. */
const char *verb_words(unsigned verbs, const char *before_last, char out_words[VERB_WORDS_SIZE]);

#endif
