/* SPDX-License-Identifier: ISC */
/*
 * complete: what may stand where somebody is typing, for the shells' completion.
 * Made of the tables that the command line is read by. Never an error, a question or a value;
 * whatever is not to be had is left out.
 */
#ifndef MORTISE_CLI_COMPLETE_H
#define MORTISE_CLI_COMPLETE_H

#include <stdio.h>

#include "cli.h"

/* What an operand or an option's value is, as its word in --help says. */
enum complete_kind {
	COMPLETE_NOTHING,
	COMPLETE_PATH,
	COMPLETE_PREFIX,
	COMPLETE_FILE,
	COMPLETE_DIRECTORY,
	COMPLETE_USER,
	COMPLETE_GROUP,
	COMPLETE_VERB,
	COMPLETE_COMMAND, /* a command line of its own begins there */
};

enum complete_kind complete_kind_of_operand(const struct command *command, int index);
enum complete_kind complete_kind_of_value(const struct option *option);

/* A word that somebody is typing. */
struct complete {
	struct cli *cli;  /* from the words before */
	FILE *out;        /* where the candidates go */
	const char *word; /* all of it */
	size_t fixed;     /* so many bytes of it stay: the candidates are for what follows */
};

/*
 * Writes what may stand for the last of count words, which follow "mortise" on a command line:
 * the lines that `mortise complete --help` describes.
 */
void complete_line(struct cli *cli, char *const *words, int count, FILE *out);

/* A line for a candidate, if that is how it begins. about may be NULL. */
void complete_offer(const struct complete *complete, const char *text, const char *about);

/* The secrets one level below, and the folders; of which the caller may see, says the agent. */
void complete_paths(const struct complete *complete, bool only_folders);

#endif
