/* SPDX-License-Identifier: ISC */
/* audit_filter: which records of the audit log somebody wants to see. */
#ifndef MORTISE_CLI_AUDIT_FILTER_H
#define MORTISE_CLI_AUDIT_FILTER_H

#include <jansson.h>

#include "ask.h"

struct audit_filter {
	struct ask_path path; /* a pattern, as in rules; "": any */
	const char *operation, *result, *rule, *unit;
	bool has_user;
	json_int_t uid;
	uint64_t since_us, until_us; /* 0: without end */
	uint64_t last;               /* 0: all */
};

/* What its options say (audit show): CLI_DONE, or an error was told. */
int audit_filter_read(struct cli *cli, struct audit_filter *out_filter);
bool audit_filter_takes(const struct audit_filter *filter, const json_t *record);

/* "" if the record has none of that name. */
const char *audit_text_of(const json_t *record, const char *name);
/* When it was, to the second. */
uint64_t audit_time_of(const json_t *record);
/* The agent did not believe the clock. */
bool audit_is_doubtful(const json_t *record);
/* A value was given out: to who asked, or to a unit as a credential. */
bool audit_is_reading(const json_t *record);

#endif
