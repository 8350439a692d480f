/* SPDX-License-Identifier: ISC */
/* suggest: the word that somebody meant who typed another one. */
#ifndef MORTISE_CLI_SUGGEST_H
#define MORTISE_CLI_SUGGEST_H

struct suggest {
	const char *word;  /* what was typed */
	const char *found; /* the nearest candidate so far that resembles it, or NULL */
	unsigned distance;
};

void suggest_consider(struct suggest *suggest, const char *candidate);

/* How many letters to add, drop, change or swap to get from one word to the other. */
unsigned suggest_distance(const char *one, const char *other);

#endif
