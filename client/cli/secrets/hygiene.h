/* SPDX-License-Identifier: ISC */
/*
 * hygiene: what is unwise about the secrets: one value for several, old ones, overdue ones, and
 * those that the audit log has never seen read. Of values the agent tells nothing but which
 * secrets share one.
 */
#ifndef MORTISE_CLI_HYGIENE_H
#define MORTISE_CLI_HYGIENE_H

#include <stdint.h>

#include "ask.h"

/* The kinds are in order of what ought to be mended first. */
enum hygiene_kind {
	HYGIENE_ENVIRONMENTS, /* one value in several environments */
	HYGIENE_REUSED,       /* one value for several secrets of one environment */
	HYGIENE_OVERDUE,
	HYGIENE_OLD,
	HYGIENE_NEVER_READ,
	HYGIENE_KINDS,
};

struct hygiene_finding {
	enum hygiene_kind kind;
	uint64_t group;   /* of those that share a value; else 0 */
	uint64_t made_us; /* of OVERDUE and OLD: when the current version was made */
	char path[MORTISE_PATH_MAX + 1];
};

struct hygiene {
	struct hygiene_finding *findings; /* by kind, group and path */
	size_t count;
	uint64_t examined;   /* secrets */
	bool leaves_out_log; /* set by who asks: the log may be long */
	bool has_log;        /* else nobody can say what was never read */
};

/* --older-than, or 0 without it. An exit status. */
int hygiene_read_age(const struct cli *cli, uint64_t *out_older_than_us);

/*
 * Asks for all of it; older_than_us 0: no age by itself is too old. The log is looked through
 * only with the verb audit, and only for secrets that one may list. Fails as the agent did.
 */
enum mortise_status hygiene_collect(
	struct cli *cli, uint64_t older_than_us, struct hygiene *hygiene) MUST_USE;
void hygiene_done(struct hygiene *hygiene);

/* "one value in several environments" */
const char *hygiene_text(enum hygiene_kind kind);
/* The same for programs: "environments" */
const char *hygiene_word(enum hygiene_kind kind);

#endif
