/* SPDX-License-Identifier: ISC */
/*
 * fetch: the values of several PATH[#FIELD], all of them or none (or each its own way), from one
 * snapshot.
 * They are in the agent's reply, and stay there until the next request or fetch_drop().
 */
#ifndef MORTISE_CLI_FETCH_H
#define MORTISE_CLI_FETCH_H

#include "ask.h"

struct fetched {
	const char *given; /* the caller's */
	struct ask_path path;
	const char *field;          /* of a JSON value; NULL: all of the value */
	enum mortise_status status; /* of fetch_each(): without MORTISE_OK it has no value */
	uint64_t version;
	const uint8_t *bytes;
	size_t size;
	json_t *document;
};

struct fetch {
	struct fetched items[WIRE_BATCH_MAX];
	int count;
};

/* Which version; all zero: the current one. */
struct fetch_version {
	bool has_number;
	uint64_t number;
	const char *label;
};

/* given outlives the batch. CLI_DONE, or an exit status after the error. */
int fetch_add(struct cli *cli, struct fetch *fetch, const char *given);

/* CLI_DONE, or an exit status after the error: then no value is to be used. */
int fetch_values(struct cli *cli, struct fetch *fetch, const struct fetch_version *version);

/* The same, but what cannot be had is no error: each item has its own status. */
int fetch_each(struct cli *cli, struct fetch *fetch, const struct fetch_version *version);

/* Wipes the values. */
void fetch_drop(struct cli *cli, struct fetch *fetch);

#endif
