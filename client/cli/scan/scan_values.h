/* SPDX-License-Identifier: ISC */
/*
 * scan_values: what a scan looks for: the values that the caller may read, in all their
 * encodings, as the strings of a scan_match. Each value is asked for once, and no copy is kept
 * but that. Of a secret's versions with the same value only the newest counts.
 */
#ifndef MORTISE_CLI_SCAN_VALUES_H
#define MORTISE_CLI_SCAN_VALUES_H

#include "cli.h"
#include "scan_match.h"

#define SCAN_NAME_BITS 5 /* of a tag: which encoding */
#define SCAN_NAMES_MAX (1 << SCAN_NAME_BITS)

struct scan_secret {
	char *path;
	uint64_t current;
	uint32_t first; /* of its values; UINT32_MAX: none yet */
	bool is_denied;
};

struct scan_value {
	uint64_t version, hash, size;
	uint32_t secret, next; /* another value of this secret, or UINT32_MAX */
};

struct scan_values {
	struct scan_match *match;
	struct scan_secret *secrets;
	size_t secret_count, secret_room;
	struct scan_value *values;
	size_t value_count, value_room;
	const char *names[SCAN_NAMES_MAX]; /* of encodings */
	unsigned name_count;
	/* Left out: secrets that are deleted or denied, and values that are too short. */
	size_t deleted, denied, too_short;
};

/* Asks the agent, and prepares the match. CLI_DONE, or an exit status after the error. */
int scan_values_collect(struct cli *cli, struct scan_values *values);
void scan_values_done(struct scan_values *values);

/* What a match's tag means. */
const struct scan_value *scan_values_value(const struct scan_values *values, uint32_t tag);
const char *scan_values_encoding(const struct scan_values *values, uint32_t tag);

#endif
