/* SPDX-License-Identifier: ISC */
/* scan_secrets: which secrets there are to look for, and which versions; no values yet. */
#ifndef MORTISE_CLI_SCAN_SECRETS_H
#define MORTISE_CLI_SCAN_SECRETS_H

#include "progress.h"
#include "scan_values.h"

/* A version to ask for. */
struct scan_wanted {
	uint64_t version, size;
	uint32_t secret;
};

struct scan_collector {
	struct cli *cli;
	struct scan_values *values;
	struct scan_wanted *wanted;
	size_t wanted_count, wanted_room;
	struct progress progress;
};

/*
 * Fills secrets: those below the prefixes of --only, or all. CLI_DONE, or an exit status after
 * the error.
 */
int scan_secrets_list(struct scan_collector *collector);
/* Fills wanted. */
enum mortise_status scan_secrets_versions(struct scan_collector *collector) MUST_USE;

/* A secret that may be listed and not read counts once. */
void scan_secrets_deny(struct scan_values *values, struct scan_secret *secret);

/*
 * Room for one more; NULL without memory, and then list is as it was. Hashes of values leave no
 * copy behind.
 */
void *scan_secrets_extend(void *list, size_t count, size_t *room, size_t size);
/* MORTISE_IO, with its message. */
enum mortise_status scan_secrets_fail_memory(const struct scan_collector *collector);

#endif
