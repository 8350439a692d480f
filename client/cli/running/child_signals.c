/* SPDX-License-Identifier: ISC */
#include "child_signals.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define WITNESS_PATIENCE_S 2 /* somebody may have stopped it */

static struct sigaction before[NSIG];
static sigset_t mask_before;
static bool is_taken;

/* What handlers see and tell. */
static volatile sig_atomic_t own_pid, is_child_changed, is_resized, is_continued, is_stop_wanted;
static volatile sig_atomic_t asked, is_command_in_group, continued_by, is_group_continued;
static child_signals_hand *volatile hand_on;

/* How often the witness had seen a signal when mortise last asked. */
static uint32_t seen[NSIG];
/* What waited here when the witness last answered: it may have had both as one. */
static bool was_one[NSIG];
static pid_t witness;
static volatile sig_atomic_t witness_link = -1;

static bool is_left_alone(int number)
{
	switch (number) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
	case SIGTTIN:
	case SIGTTOU:
		return true;
	default:
		return false;
	}
}

/* Does it end a process that says nothing of it? */
static bool is_ending(int number)
{
	return number != SIGCHLD && number != SIGWINCH && number != SIGCONT && number != SIGURG &&
	       number != SIGTSTP;
}

/* How often the witness has seen it; false: nobody answers. All signals are blocked here. */
static bool ask_witness(int number, uint32_t *out_count)
{
	uint8_t question = (uint8_t)number;

	if (witness_link < 0 || send(witness_link, &question, sizeof question, MSG_NOSIGNAL) < 0)
		return false;
	if (recv(witness_link, out_count, sizeof *out_count, 0) == sizeof *out_count)
		return true;
	(void)shutdown(witness_link, SHUT_RDWR); /* what it says later answers no more */
	return false;
}

/*
 * What has come to others of the group has come to mortise, too, when this returns: who signals a
 * group holds a lock until all have it, and to set a group takes that lock (Linux, kernel/signal.c
 * and kernel/sys.c).
 */
static void let_arrive(void)
{
	(void)setpgid(0, getpgrp());
}

static bool is_pending(int number)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, number) == 1;
}

/*
 * Has the witness seen one since this was last asked? The kernel tells the newest process of a
 * group first: what has come to mortise, and to the group, is there already. Of a real-time signal
 * each one waits; of any other, those that wait at a process are one (POSIX.1-2017, 2.4.1). So the
 * witness, where it is slow, has had one when mortise has two: the second is the group's as well.
 */
static bool has_witness_seen(int number)
{
	uint32_t count = 0;
	bool is_same = was_one[number];

	was_one[number] = false;
	if (!ask_witness(number, &count))
		return false;
	if (count == seen[number])
		return is_same;
	if (number >= SIGRTMIN) {
		seen[number]++;
		return true;
	}
	seen[number] = count;
	let_arrive();
	was_one[number] = is_pending(number);
	return true;
}

/*
 * The kernel drops a SIGCONT that waits when a SIGTSTP comes, and the other way round
 * (POSIX.1-2017, 2.4.1): so the witness may never see what mortise has taken already. Then the
 * contrary has come to the group since, and is waiting here. To hand on the older one now would
 * undo the newer one.
 */
static bool is_overtaken(int number)
{
	int contrary = number == SIGCONT ? SIGTSTP : SIGCONT;
	uint32_t count = 0;

	if ((number != SIGCONT && number != SIGTSTP) || !ask_witness(contrary, &count) ||
		count == seen[contrary])
		return false;
	let_arrive();
	return is_pending(contrary);
}

/* Of a hang-up the session's leader hears alone; all others are told as the group in front. */
static bool is_to_group(int number, const siginfo_t *info)
{
	if (info->si_code != SI_KERNEL)
		return has_witness_seen(number) || is_overtaken(number);
	if (number == SIGHUP || number == SIGCONT)
		return getsid(0) != own_pid;
	return number == SIGINT || number == SIGQUIT || number == SIGTSTP;
}

static bool is_own(const siginfo_t *info)
{
	return (info->si_code == SI_USER || info->si_code == SI_QUEUE ||
		       info->si_code == SI_TKILL) &&
	       info->si_pid == own_pid;
}

/*
 * The end of its children, the size of its terminal, a reader that is gone, and what it sends to
 * its group itself is mortise's own affair: the command hears of its own.
 */
static bool is_mortises(int number, const siginfo_t *info)
{
	return is_own(info) || (number == SIGCHLD && info->si_code > 0) ||
	       (number == SIGWINCH && info->si_code == SI_KERNEL);
}

static void take_note(int number, const siginfo_t *info)
{
	if (number == SIGCHLD)
		is_child_changed = 1; /* whoever sent it: one may hide another */
	if (number == SIGWINCH)
		is_resized = 1;
	if (is_own(info))
		return;
	if (number == SIGTSTP)
		is_stop_wanted = 1;
	if (number == SIGCONT) {
		is_stop_wanted = 0;
		is_continued = 1;
		continued_by = info->si_code == SI_USER ? info->si_pid : 0;
	}
	if (is_ending(number) && before[number].sa_handler != SIG_IGN)
		asked = number;
}

/* What stops drops a SIGCONT that waits, and the other way round (POSIX.1-2017, 2.4.1). */
static void drop_contrary(int number)
{
	if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU)
		was_one[SIGCONT] = false;
	else if (number == SIGCONT)
		was_one[SIGTSTP] = false;
}

static void handle(int number, siginfo_t *info, void *context)
{
	int error = errno;

	(void)context;
	drop_contrary(number);
	take_note(number, info);
	if (!is_mortises(number, info)) {
		bool to_group = is_to_group(number, info);

		if (number == SIGCONT)
			is_group_continued = to_group;
		if (hand_on && !(to_group && is_command_in_group))
			hand_on(number, info, to_group);
	}
	errno = error;
}

void child_signals_take(void)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t all;

	own_pid = getpid();
	is_child_changed = is_resized = is_continued = is_stop_wanted = asked = 0;
	hand_on = NULL;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &mask_before);
	(void)sigfillset(&action.sa_mask);
	for (int number = 1; number < NSIG; number++)
		if (!is_left_alone(number) && sigaction(number, NULL, &before[number]) == 0)
			(void)sigaction(number, &action, NULL);
	is_taken = true;
}

static void restore_actions(void)
{
	for (int number = 1; number < NSIG; number++)
		if (!is_left_alone(number))
			(void)sigaction(number, &before[number], NULL);
}

void child_signals_as_before(void)
{
	restore_actions();
	(void)sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

/* Also of what mortise was started with as ignored or blocked: the command may think otherwise. */
void child_signals_let(child_signals_hand *hand, bool in_group, sigset_t *out_waiting)
{
	sigset_t noted;

	hand_on = hand;
	is_command_in_group = in_group;
	(void)sigemptyset(out_waiting);
	(void)sigemptyset(&noted);
	(void)sigaddset(&noted, SIGCHLD);
	(void)sigaddset(&noted, SIGWINCH);
	(void)sigaddset(&noted, SIGCONT);
	(void)sigprocmask(SIG_SETMASK, &noted, NULL);
}

void child_signals_stop_handing(void)
{
	hand_on = NULL;
}

/* Takes what has come to the group. */
static void look(int signals, uint32_t counts[NSIG])
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof info) == sizeof info)
		counts[info.ssi_signo]++;
}

/* Nothing but the link to mortise is open here. */
static _Noreturn void stand_by(int link, const sigset_t *all)
{
	int signals = signalfd(-1, all, SFD_NONBLOCK | SFD_CLOEXEC);
	struct pollfd ready[2] = {
		{.fd = signals, .events = POLLIN}, {.fd = link, .events = POLLIN}};
	uint32_t counts[NSIG] = {0};
	uint8_t number;

	for (;;) {
		(void)poll(ready, 2, -1);
		look(signals, counts);
		if (ready[1].revents == 0)
			continue;
		if (recv(link, &number, sizeof number, 0) != sizeof number || number >= NSIG ||
			send(link, &counts[number], sizeof counts[number], MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

static void witness_run(int link, const sigset_t *all)
{
	int kept = dup2(link, STDIN_FILENO);

	(void)close_range(STDIN_FILENO + 1, ~0U, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "mortise-group");
	stand_by(kept, all);
}

void child_signals_witness(void (*forget)(void *context), void *context)
{
	static const struct timeval patience = {WITNESS_PATIENCE_S, 0};
	sigset_t all, now;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &now);
	memset(seen, 0, sizeof seen);
	memset(was_one, 0, sizeof was_one);
	witness = fork();
	if (witness == 0) {
		if (forget)
			forget(context);
		witness_run(pair[1], &all);
	}
	(void)close(pair[1]);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (witness > 0)
		witness_link = pair[0];
	else
		(void)close(pair[0]);
	(void)sigprocmask(SIG_SETMASK, &now, NULL);
}

/* It ends when nobody can ask it any more. */
static void dismiss_witness(void)
{
	if (witness_link < 0)
		return;
	(void)close(witness_link);
	witness_link = -1;
	while (waitpid(witness, NULL, 0) < 0 && errno == EINTR)
		;
}

void child_signals_give_back(void)
{
	sigset_t all;

	if (!is_taken)
		return;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	hand_on = NULL;
	dismiss_witness();
	child_signals_as_before();
	is_taken = false;
}

struct child_signals_news child_signals_news(const sigset_t *waiting)
{
	sigset_t now;

	(void)sigprocmask(SIG_SETMASK, waiting, &now);
	(void)sigprocmask(SIG_SETMASK, &now, NULL);
	struct child_signals_news news = {is_child_changed, is_resized, is_continued,
		is_group_continued, (pid_t)continued_by};

	if (news.is_child_changed)
		is_child_changed = 0;
	if (news.is_resized)
		is_resized = 0;
	if (news.is_continued)
		is_continued = 0;
	return news;
}

int child_signals_asked(void)
{
	return asked;
}

bool child_signals_is_stop_wanted(void)
{
	let_arrive(); /* the command, which is newer, may have been told first */
	return is_stop_wanted;
}

void child_signals_tell_group(int number)
{
	sigset_t all, now;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &now);
	(void)kill(0, number);
	drop_contrary(number);
	(void)ask_witness(number, &seen[number]); /* and mortise knows of it */
	(void)sigprocmask(SIG_SETMASK, &now, NULL);
}

/* Has somebody let mortise go on? SIGCONT is blocked here: it waits. All signals are blocked. */
static bool take_continued(pid_t not_by)
{
	static const struct timespec at_once = {0, 0};
	sigset_t one;
	siginfo_t info;

	(void)sigemptyset(&one);
	(void)sigaddset(&one, SIGCONT);
	if (sigtimedwait(&one, &info, &at_once) != SIGCONT)
		return false;
	if (not_by != 0 && info.si_code == SI_USER && info.si_pid == not_by)
		return false;
	/* As in a handler: the next one, which may be here by now, is taken after this one. */
	handle(SIGCONT, &info, NULL);
	return true;
}

/* All signals are blocked before and after it. */
static void stop_at_once(int number, bool is_group)
{
	struct sigaction fallback = {.sa_handler = SIG_DFL}, own;
	sigset_t one;

	(void)sigaction(number, &fallback, &own);
	(void)sigemptyset(&one);
	(void)sigaddset(&one, number);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
	(void)kill(is_group ? 0 : own_pid, number); /* here it stops */
	(void)sigprocmask(SIG_BLOCK, &one, NULL);
	(void)sigaction(number, &own, NULL);
	if (!is_group)
		return;
	drop_contrary(number);
	(void)ask_witness(number, &seen[number]);
	let_arrive();
	was_one[number] = is_pending(number); /* the next one, which the witness has had, too */
}

bool child_signals_stop(int number, bool is_group, pid_t not_by)
{
	sigset_t all, before_it;
	bool is_continued_now;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before_it);
	is_continued_now = take_continued(not_by); /* which stopping would drop */
	if (!is_continued_now) {
		stop_at_once(number, is_group);
		is_continued_now = take_continued(0);
	}
	(void)sigprocmask(SIG_SETMASK, &before_it, NULL);
	return is_continued_now;
}

void child_signals_die_of(int number)
{
	static const struct rlimit no_core = {0, 0};
	struct sigaction fallback = {.sa_handler = SIG_DFL};
	sigset_t one;

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)sigaction(number, &fallback, NULL);
	(void)sigemptyset(&one);
	(void)sigaddset(&one, number);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
	(void)kill(getpid(), number);
}
