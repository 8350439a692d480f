/* SPDX-License-Identifier: ISC */
/* One sealer at a time, each with a deadline. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "directory.h"
#include "log.h"
#include "monitor_state.h"

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
