/* SPDX-License-Identifier: ISC */
/*
 * suggest: the word that somebody meant who typed another one: by likeness, or as other programs
 * call it. What takes something away for good is never guessed by likeness.
 */
#ifndef MORTISE_CLI_SUGGEST_H
#define MORTISE_CLI_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

struct suggest {
	const char *word;  /* what was typed */
	const char *found; /* the nearest candidate so far that resembles it, or NULL */
	unsigned distance;
};

void suggest_consider(struct suggest *suggest, const char *candidate);

/* How many letters to add, drop, change or swap to get from one word to the other. */
unsigned suggest_distance(const char *one, const char *other);

/* What a word of vault, op, pass, git, ssh-add, systemctl or aws, or of two ("slot rm"), is here.
 */
struct suggest_word {
	const char *word;
	const char *command; /* "get"; NULL: there is none */
	const char *why;     /* a sentence, where the command alone does not say it; or NULL */
};
/* Ends with one whose word is NULL. */
extern const struct suggest_word suggest_words[];
const struct suggest_word *suggest_find(const char *word);

/* May a command be named to somebody who typed something like it? */
bool suggest_is_grave(const char *command);

#endif
