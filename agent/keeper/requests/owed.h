/* SPDX-License-Identifier: ISC */
/*
 * owed: the lines of changes that are made but not on record yet.
 * A change is on disk before its line is in the log. Where that line then cannot be written, it
 * is put on record as soon as the log can be; until then nothing is changed any more.
 * In memory only: a keeper that dies while its log fails takes them along.
 */
#ifndef MORTISE_OWED_H
#define MORTISE_OWED_H

#include "audit.h"
#include "policy.h"

/* As many as a turn has answers, and those of the largest change behind them. */
#define OWED_MAX       512
#define OWED_NOTE_SIZE 160 /* a longer one is cut */

struct owed_line {
	struct audit_event event; /* its strings are those behind it */
	char path[MORTISE_PATH_MAX + 1];
	char rule[POLICY_TITLE_MAX + 1];
	struct audit_facts_room facts;
	char note[OWED_NOTE_SIZE]; /* says that it is late */
	bool has_note;             /* of its own */
	bool is_waiting;           /* its line is put by owed_settle() */
};

struct owed {
	struct owed_line lines[OWED_MAX];
	size_t count;
	size_t late; /* the first so many have missed their turn */
};

/* Is there room for the lines of one more change, however large? Before it is made. */
bool owed_has_room(const struct owed *owed);
/* The event of a change has just been appended to the turn. */
void owed_add(struct owed *owed, const struct audit_event *event);

/* The same of a change that is not on the disk yet, and whose line is not put before it is. */
void owed_await(struct owed *owed, const struct audit_event *event);
/*
 * What waits in this turn came to that: the lines are put. Of MORTISE_OK they are owed from now on;
 * else nothing was changed.
 */
void owed_settle(struct owed *owed, struct audit *audit, enum mortise_status status);

/*
 * audit_flush(), for all that ends a turn: with it go the lines that earlier turns could not write.
 * What is not on record then stays owed.
 */
enum mortise_status owed_flush(struct owed *owed, struct audit *audit) MUST_USE;

#endif
