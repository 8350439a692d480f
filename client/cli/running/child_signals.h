/* SPDX-License-Identifier: ISC */
/*
 * child_signals: what becomes of signals while a command runs in mortise's stead. The command gets
 * each of them once, as if mortise were not there:
 *
 *   from a terminal's keys            go to the whole group, so the command has them already
 *   sent to the whole group           likewise; a witness in the group tells them from others
 *   kill, an alarm clock, a hang-up   that only mortise hears of are handed on
 *
 * A command that has a session of its own is not in mortise's group: it is handed all of them, as
 * signals to its own group where they were to the group. One command at a time.
 * Left alone are those that a fault raises (SIGSEGV...), and SIGTTIN and SIGTTOU, which stop.
 */
#ifndef MORTISE_CLI_CHILD_SIGNALS_H
#define MORTISE_CLI_CHILD_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* Called by handlers. A value of sigqueue(3) goes along. */
typedef void child_signals_hand(int number, const siginfo_t *info, bool is_to_group);

/* What has come since the last question: also while there was always something else to do. */
struct child_signals_news {
	bool is_child_changed, is_resized, is_continued;
	bool is_group_continued;
	pid_t continued_by;
};

/* Handlers are in place, and all signals are blocked: fork now. */
void child_signals_take(void);
/* In the command, before it starts: as mortise was started. */
void child_signals_as_before(void);
/*
 * In mortise: they come now, but SIGCHLD, SIGWINCH and SIGCONT only while it waits with the mask
 * *out_waiting. in_group: the command is in mortise's group.
 */
void child_signals_let(child_signals_hand *hand, bool in_group, sigset_t *out_waiting);
/* The command has ended: nothing is handed on. */
void child_signals_stop_handing(void);
/* Mortise's own again. */
void child_signals_give_back(void);

/*
 * From now on somebody stands by who sees what is sent to the whole group; without him it would
 * come twice. So he is there before the command is. forget: what he need not know.
 */
void child_signals_witness(void (*forget)(void *context), void *context);

struct child_signals_news child_signals_news(const sigset_t *waiting);
/* The last signal that would have ended mortise; 0: none. */
int child_signals_asked(void);
/* Was mortise asked to stop, and not to go on since? */
bool child_signals_is_stop_wanted(void);

/* To all of mortise's group but the command and mortise. */
void child_signals_tell_group(int number);
/*
 * Stops mortise, or its whole group, unless somebody has let it go on by now; not_by: who is not
 * meant, and 0 for nobody. False: it was not stopped; nobody would let it go on.
 */
bool child_signals_stop(int number, bool is_group, pid_t not_by);

/* Ends mortise by the signal. Returns where that cannot be: as the first process of a container. */
void child_signals_die_of(int number);

#endif
