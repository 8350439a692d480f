/* SPDX-License-Identifier: ISC */
/*
 * child_session: a command in a session of its own, with a controlling terminal of its own. A
 * process between mortise and the command leads the session, so that the command's group can stop
 * and go on as one of a shell's. It knows no secret, and has nothing open but that terminal.
 */
#ifndef MORTISE_CLI_CHILD_SESSION_H
#define MORTISE_CLI_CHILD_SESSION_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct child_session {
	pid_t leader;
	pid_t group; /* the command's, by its number */
	int link;    /* to the leader; -1: there is no session */
	bool is_front;
};

/* What the leader says. */
enum child_session_word {
	CHILD_SESSION_NOTHING,
	CHILD_SESSION_STOPPED, /* by the signal number */
	CHILD_SESSION_WENT_ON, /* somebody let it */
	CHILD_SESSION_ENDED,   /* number is its wait status */
	CHILD_SESSION_LOST,    /* the leader is no more */
};

/* What a command is made of. */
struct child_session_start {
	int terminal; /* the command's end of it */
	bool is_front;
	void (*become)(void *context); /* in the command; does not return */
	void (*forget)(void *context); /* in the leader */
	void *context;
};

/* All signals are blocked meanwhile. 0, or errno; what fails later is the command's to report. */
int child_session_start(const struct child_session_start *start, struct child_session *out_session);
/* Waits for the leader's end. */
void child_session_end(struct child_session *session);

enum child_session_word child_session_hear(struct child_session *session, int *out_number);

/* A handler may call it. */
void child_session_signal(
	const struct child_session *session, int number, const siginfo_t *info, bool is_to_group);
/* Is the command's group that which the terminal's keys reach? */
bool child_session_has_keys(const struct child_session *session, int inner);
/* The command's group comes to the front of its terminal, or goes behind it... */
void child_session_place(struct child_session *session, bool is_front);
/* ...and goes on. */
void child_session_continue(struct child_session *session, bool is_front);
/* Its terminal is gone: when the command ends, those in front with it hear of it, too. */
void child_session_hang_up(const struct child_session *session);

#endif
