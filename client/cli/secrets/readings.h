/* SPDX-License-Identifier: ISC */
/* readings: who has read a secret, when last and which version, by the audit log. */
#ifndef MORTISE_CLI_READINGS_H
#define MORTISE_CLI_READINGS_H

#include <jansson.h>

#include "cli.h"

struct reading {
	char who[80]; /* "backup(34)", "credential dbpass" */
	uint64_t count, last_us;
	uint64_t version; /* of the last time; 0: not said */
};

struct version_reading {
	uint64_t number, last_us;
};

struct readings {
	bool is_known;     /* false: one may not read the log */
	uint64_t since_us; /* when the log begins; 0: it has no line */
	struct reading *each;
	size_t count;
	struct version_reading *versions;
	size_t version_count;
};

/* Of what was given out under this path. It is no failure that one may not read the log. */
enum mortise_status readings_collect(
	struct cli *cli, const char *path, struct readings *out_readings) MUST_USE;
void readings_drop(struct readings *readings);

/* When a version was read last; 0: never, as far as the log goes. */
uint64_t readings_of(const struct readings *readings, uint64_t version);
void readings_print(const struct readings *readings);
/* Into an object: "reads", and since when they are known. */
void readings_put(const struct readings *readings, json_t *object);

#endif
