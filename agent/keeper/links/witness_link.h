/* SPDX-License-Identifier: ISC */
/*
 * witness_link: the keeper's end of its socket to the witness (processes.h), who looks for it into
 * /proc, where a caller can keep anybody waiting (proc.h), and says which program a process runs:
 * Landlock keeps /proc/PID/exe from the keeper itself.
 * Nobody waits for an answer but who asked. There are two witnesses; each has one question at a
 * time, and of one uid's questions one is under way: so nobody keeps both waiting. The questions of
 * uids that were served last come last. A witness that is late, ends or says what it was not asked
 * is replaced by the monitor. A uid about which one was late is not asked about for a while.
 */
#ifndef MORTISE_WITNESS_LINK_H
#define MORTISE_WITNESS_LINK_H

#include <event2/event.h>

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

#define WITNESS_PATH_SIZE 4096

struct monitor_link;
struct witness_link;

struct witness_timing {
	unsigned seats;    /* so many witnesses; PROCESS_WITNESSES at most */
	int patience_ms;   /* for an answer, and for a new witness */
	int hold_first_ms; /* for which a uid is not asked about; twice as long each time */
	int hold_max_ms;
	int rest_first_ms; /* behind a witness that ended by itself; likewise */
	int rest_max_ms;
};

extern struct witness_timing witness_usual_timing; /* tests have more patience */

/* Part of who asks; zeros before the first time. */
struct witness_question {
	uint16_t opcode; /* WITNESS_EXE or WITNESS_LOOK: processes.h */
	uint32_t pid, uid;
	/*
	 * Once, and never from within witness_ask(). path: of EXE, or NULL if it cannot be had.
	 * trouble is NULL, or says why the witness has not answered.
	 */
	void (*answered)(void *context, const char *path, const char *trouble);
	void *context;

	struct witness_link *link; /* NULL: it does not wait */
	struct witness_question *previous, *next;
	uint64_t turn;
	unsigned tries;
};

struct witness_report {
	bool is_wanted, is_there;    /* now */
	unsigned late, ended;        /* so many were replaced for that */
	uint32_t late_pid, late_uid; /* about whom the last one was late */
	uint64_t replaced_us;        /* when the last one was; by the wall clock */
};

/* Asks the monitor for a witness at once. timing is borrowed. MORTISE_BUSY. */
enum mortise_status witness_link_new(struct event_base *base, struct monitor_link *monitor,
	const struct witness_timing *timing, struct witness_link **out_link) MUST_USE;
/* Forgets all questions; nobody is answered. NULL is allowed. */
void witness_link_free(struct witness_link *link);

/* MORTISE_BUSY: it is not asked, and *out_trouble says why. */
enum mortise_status witness_ask(struct witness_link *link, struct witness_question *question,
	const char **out_trouble) MUST_USE;
/* It is answered no more. Nothing happens to one that does not wait. */
void witness_forget(struct witness_question *question);

struct witness_report witness_report(const struct witness_link *link);

#endif
