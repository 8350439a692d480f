/* SPDX-License-Identifier: ISC */
/*
 * policy_change: what the policy commands share: the text in force, files on their way to the
 * agent, and the one way in which a new policy comes into force: a dry run, what it changes, a
 * question, and then just that. The agent alone reads and judges; here files are only bytes.
 */
#ifndef MORTISE_CLI_POLICY_CHANGE_H
#define MORTISE_CLI_POLICY_CHANGE_H

#include <stdio.h>

#include "cli.h"

#define POLICY_DIRECTORY "/etc/mortise/policy.d"
#define POLICY_ENDING    ".policy"
#define POLICY_FILES_MAX 64
#define POLICY_NAME_SIZE 128
#define POLICY_TEXT_MAX  16777216 /* bytes in all files */

struct policy_file {
	char name[POLICY_NAME_SIZE]; /* for messages */
	char *bytes;
	size_t size;
};

/* Read once, so that what was shown and what is applied are the same. */
struct policy_files {
	struct policy_file file[POLICY_FILES_MAX];
	int count;
	size_t size;
};

/* These give CLI_DONE, or an exit status after the error. */

/* Is it one of a directory's? */
bool policy_is_file_name(const char *name);
/* A file, "-", or the files *.policy of a directory in the order of their names. */
int policy_files_read(const struct cli *cli, const char *path, struct policy_files *files);
/* One more file, from where the descriptor stands; path is for the error. */
int policy_files_add(const struct cli *cli, struct policy_files *files, const char *name, int fd,
	const char *path);
/* Those of a text that was shown: no command's error, and false, if it has none. */
bool policy_files_split(const char *text, struct policy_files *files);
/* The same text of them, malloc'ed; NULL: no memory. */
char *policy_files_shown(const struct policy_files *files);
/* Sends them over the pinned connection. files: struct policy_files. */
int policy_files_send(struct cli *cli, const void *files);
/* For CLEANUP. */
void policy_files_drop(struct policy_files *files);

/* The text of a version (0: the one in force), which is set to what was told. */
int policy_fetch(struct cli *cli, FILE *out, uint64_t *version);

struct policy_change {
	enum wire_opcode opcode;
	/* Sends what comes before each request, over one connection; NULL: nothing. */
	int (*send)(struct cli *cli, const void *context);
	const void *context;
	uint64_t version; /* to go back to; 0: none is named */
	uint64_t base;    /* that must be in force; 0: the one of the dry run */
	const char *key;  /* a recovery key, not NUL-terminated; NULL: none */
	size_t key_size;
};

/* Takes --dry-run, --yes, --json and --force. */
int policy_change(struct cli *cli, const struct policy_change *change);

/* For the commands that take it. */
#define POLICY_FORCE_OPTION                                                                        \
	{                                                                                          \
		"force", 0, NULL, "though it leaves no administrator, or takes admin from you"     \
	}

#endif
