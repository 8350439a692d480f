/* SPDX-License-Identifier: ISC */
#include "monitor_children.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "directory.h"
#include "log.h"

/* ---- one sealer at a time, each with a deadline ---- */

/* A sealer that has answered is still ending when the keeper asks for the next. */
static void wait_for_end(struct monitor *monitor, uint32_t request_id)
{
	struct monitor_sealer *sealer = &monitor->sealer;

	if (sealer->has_waiting && sealer->waiting_keeper == monitor->keeper.number) {
		monitor_answer(monitor, request_id, MORTISE_BUSY, "a sealer is at work", -1);
		return;
	}
	sealer->has_waiting = true;
	sealer->waiting_id = request_id;
	sealer->waiting_keeper = monitor->keeper.number;
}

void monitor_sealer_start(struct monitor *monitor, uint32_t request_id)
{
	const struct monitor_settings *settings = monitor->settings;
	const struct sealer_command command = {
		.program = settings->sealer_program,
		.has_insecure_memory = settings->config->has_insecure_memory,
		.tcti = settings->config->tcti,
		.pkcs11_modules = settings->config->pkcs11_modules,
		.pkcs11_env = settings->config->pkcs11_env,
		.pkcs11_pin_file = settings->config->pkcs11_pin_file,
		.deadline_ms = settings->config->hardware_deadline_ms,
		.pcr_signature = settings->config->pcr_signature,
		.notes_fd = monitor->notes_fd,
	};
	CLEANUP(close_drop) int fd = -1;

	if (monitor->sealer.pid != 0) {
		wait_for_end(monitor, request_id);
		return;
	}
	if (spawn_sealer(&command, settings->identity, &monitor->sealer.pid, &fd) != MORTISE_OK) {
		log_error("a sealer cannot be started: %s", strerror(errno));
		monitor_answer(monitor, request_id, MORTISE_IO, "no sealer can be started", -1);
		return;
	}
	monitor_arm(
		monitor->sealer.deadline, command.deadline_ms + settings->timing.sealer_grace_ms);
	monitor_answer(monitor, request_id, MORTISE_OK, NULL, fd);
}

void monitor_sealer_kill(struct monitor *monitor)
{
	if (monitor->sealer.pid > 0)
		kill(monitor->sealer.pid, SIGKILL);
}

void monitor_sealer_overdue(evutil_socket_t fd, short what, void *context)
{
	struct monitor *monitor = context;

	(void)fd;
	(void)what;
	log_error("the sealer did not end within %d ms: killed",
		monitor->settings->config->hardware_deadline_ms +
			monitor->settings->timing.sealer_grace_ms);
	monitor_sealer_kill(monitor);
}

/* The keeper learns of it by the end of its socket. SIGKILL is ours and was logged. */
void monitor_sealer_ended(struct monitor *monitor, int wait_status)
{
	monitor->sealer.pid = 0;
	evtimer_del(monitor->sealer.deadline);
	if (monitor->stopping && monitor->keeper.pid == 0)
		monitor_end(monitor, EX_OK);
	if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) != SIGKILL)
		log_error("the sealer was ended by signal %d (%s)", WTERMSIG(wait_status),
			strsignal(WTERMSIG(wait_status)));
	else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == SPAWN_EXIT_NO_RUN)
		log_error("%s cannot be run", monitor->settings->sealer_program);
	if (monitor->sealer.has_waiting && !monitor->stopping) {
		monitor->sealer.has_waiting = false;
		if (monitor->sealer.waiting_keeper == monitor->keeper.number)
			monitor_sealer_start(monitor, monitor->sealer.waiting_id);
	}
}

/*
 * One witness for each place. The keeper asks for each, the first and the next: it alone knows that
 * one is late, and the one before is killed then. A process that hangs in the kernel may take long
 * to end; of these there are so many and no more.
 */

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
	if (!ending)
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

	if (wire_number(message, PROCESS_TAG_NUMBER, &place) != MORTISE_OK ||
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

	if (ending)
		*ending = 0;
	if (!place)
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

/*
 * Service managers' connections: accepted here for the keeper, and held until it has answered them.
 * What it does not confirm as delivered is refused, so that its end leaves no empty credential.
 */

static int find_listener(const struct monitor_settings *settings)
{
	const struct monitor_listener *last = &settings->listeners[settings->listener_count - 1];

	return settings->listener_count > 0 && last->is_for_credentials ? last->fd : -1;
}

static void hand_over(struct monitor *monitor, uint32_t request_id, uint64_t number, int descriptor)
{
	uint8_t frame[64];
	struct wire_writer writer;

	wire_begin(&writer, frame, sizeof frame, MORTISE_OK, request_id);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, number);
	if (monitor_send(monitor, frame, wire_finish(&writer), &descriptor, 1) != MORTISE_OK)
		monitor_keeper_kill(monitor, "takes no connection");
}

void monitor_credential_accept(struct monitor *monitor, const struct wire_message *message)
{
	int listener = find_listener(monitor->settings), descriptor = -1;
	enum mortise_status status = MORTISE_NOT_FOUND;
	uint64_t number = 0;

	if (listener >= 0)
		status = credential_hold_accept(monitor->hold, listener, &number, &descriptor);
	if (status == MORTISE_OK)
		hand_over(monitor, message->request_id, number, descriptor);
	else
		monitor_answer(monitor, message->request_id, status, NULL, -1);
}

static enum mortise_status release(struct monitor *monitor, const struct wire_message *message)
{
	uint64_t status = 0, number = 0;

	TRY(wire_number(message, PROCESS_TAG_STATUS, &status));
	TRY(wire_number(message, PROCESS_TAG_NUMBER, &number));
	return credential_hold_release(monitor->hold, number, status == MORTISE_OK);
}

void monitor_credential_release(struct monitor *monitor, const struct wire_message *message)
{
	if (release(monitor, message) != MORTISE_OK)
		monitor_keeper_kill(monitor, "released what it does not hold");
}

/* Of the frames that are still unread those count that say what was delivered. */
void monitor_credential_keeper_ended(struct monitor *monitor)
{
	struct wire_message message;
	ssize_t size = 1;

	while (monitor->keeper.fd >= 0 && size > 0) {
		size = recv(
			monitor->keeper.fd, monitor->frame, sizeof monitor->frame, MSG_DONTWAIT);
		if (size > 0 && wire_parse(monitor->frame, (size_t)size, &message) == MORTISE_OK &&
			message.code == PROCESS_RELEASE)
			(void)!release(monitor, &message); /* it says no to a number that is none */
	}
	size_t refused = credential_hold_refuse_all(monitor->hold);
	if (refused > 0)
		log_warning("credentials are refused: the keeper ended before it had answered %zu; "
			    "start the units again",
			refused);
}
