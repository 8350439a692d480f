/* SPDX-License-Identifier: ISC */
/*
 * One witness for each place. The keeper asks for each, the first and the next: it alone knows that
 * one is late, and the one before is killed then. A process that hangs in the kernel may take long
 * to end; of these there are so many and no more.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "directory.h"
#include "log.h"
#include "monitor_state.h"

/* 0: a free place. NULL: there is none. */
static pid_t *find(pid_t *pids, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++) {
		if (pids[i] == pid)
			return &pids[i];
	}
	return NULL;
}

/* false: there is no room to wait for its end. */
static bool dismiss(struct monitor *monitor, size_t place)
{
	pid_t *pid = &monitor->witness.pids[place];
	pid_t *ending = find(monitor->witness.ending, MONITOR_WITNESSES_ENDING, 0);

	if (*pid == 0)
		return true;
	kill(*pid, SIGKILL);
	if (ending == NULL)
		return false;
	*ending = *pid;
	*pid = 0;
	return true;
}

static void start(struct monitor *monitor, size_t place, uint32_t request_id)
{
	const struct monitor_settings *settings = monitor->settings;
	CLEANUP(close_drop) int fd = -1;

	if (!dismiss(monitor, place)) {
		monitor_answer(monitor, request_id, MORTISE_BUSY,
			"too many witnesses hang and do not end", -1);
		return;
	}
	if (spawn_witness(settings->keeper_program, settings->identity,
		    settings->config->has_exe_evidence, &monitor->witness.pids[place],
		    &fd) != MORTISE_OK) {
		log_error("a witness cannot be started: %s", strerror(errno));
		monitor_answer(monitor, request_id, MORTISE_IO, "no witness can be started", -1);
		return;
	}
	monitor_answer(monitor, request_id, MORTISE_OK, NULL, fd);
}

void monitor_witness_start(struct monitor *monitor, const struct wire_message *message)
{
	uint64_t place = 0;

	if (wire_number(message, WIRE_TAG_NUMBER, &place) != MORTISE_OK ||
		place >= PROCESS_WITNESSES)
		monitor_keeper_kill(monitor, "asks for a witness that there is no place for");
	else
		start(monitor, (size_t)place, message->request_id);
}

/* Their answers would be nobody's. */
void monitor_witness_kill(struct monitor *monitor)
{
	for (size_t i = 0; i < PROCESS_WITNESSES; i++)
		(void)dismiss(monitor, i);
}

void monitor_witness_ended(struct monitor *monitor, pid_t pid, int wait_status)
{
	pid_t *ending = find(monitor->witness.ending, MONITOR_WITNESSES_ENDING, pid);
	pid_t *place = find(monitor->witness.pids, PROCESS_WITNESSES, pid);

	if (ending != NULL)
		*ending = 0;
	if (place == NULL)
		return;
	*place = 0;
	if (monitor->keeper.pid == 0 || monitor->stopping)
		return;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		return; /* the keeper has closed its end */
	if (WIFSIGNALED(wait_status))
		log_error("a witness was ended by signal %d (%s)", WTERMSIG(wait_status),
			strsignal(WTERMSIG(wait_status)));
	else
		log_error("a witness ended with status %d; with exe-evidence = yes a unit wants "
			  "lines of docs/operations.md",
			WEXITSTATUS(wait_status));
}
