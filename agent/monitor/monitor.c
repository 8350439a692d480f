/* SPDX-License-Identifier: ISC */
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "directory.h"
#include "log.h"
#include "monitor_children.h"
#include "monitor_keeper.h"
#include "monitor_request.h"
#include "notify.h"

const struct monitor_timing monitor_usual_timing = {
	.restart_first_ms = 100,
	.restart_max_ms = 5000,
	.healthy_ms = 10000,
	.stop_ms = 5000,
	.sealer_grace_ms = 2000,
	.unread_ms = 10000,
	.refusals_ms = 500,
};

static void on_refused_all(void *context)
{
	struct monitor *monitor = context;

	if (monitor->is_ending)
		event_base_loopbreak(monitor->base);
}

static struct monitor_resolver *find_resolver(struct monitor *monitor, pid_t pid)
{
	for (size_t i = 0; i < MONITOR_RESOLVERS; i++) {
		if (monitor->resolvers[i].pid == pid)
			return &monitor->resolvers[i];
	}
	return NULL;
}

static void child_ended(struct monitor *monitor, pid_t pid, int wait_status)
{
	struct monitor_resolver *resolver = find_resolver(monitor, pid);

	if (pid == monitor->keeper.pid)
		monitor_keeper_ended(monitor, wait_status);
	else if (pid == monitor->sealer.pid)
		monitor_sealer_ended(monitor, wait_status);
	else if (resolver)
		monitor_resolver_ended(monitor, resolver, wait_status);
	else
		monitor_witness_ended(monitor, pid, wait_status);
}

/* One signal may stand for many children. */
static void on_child(evutil_socket_t number, short what, void *context)
{
	int wait_status;
	pid_t pid;

	(void)number;
	(void)what;
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		child_ended(context, pid, wait_status);
}

static void on_stop(evutil_socket_t number, short what, void *context)
{
	struct monitor *monitor = context;

	(void)what;
	if (monitor->stopping || monitor->is_ending)
		return;
	monitor->stopping = true;
	log_info("stopping (%s)", number == SIGINT ? "SIGINT" : "SIGTERM");
	if (notify_send(monitor->settings->notify_socket, "STOPPING=1") != MORTISE_OK)
		log_warning("the service manager cannot be told: %s", strerror(errno));
	evtimer_del(monitor->keeper.restart);
	if (monitor->keeper.pid == 0 && monitor->sealer.pid == 0) {
		monitor_end(monitor, EX_OK);
		return;
	}
	if (monitor->keeper.pid != 0)
		kill(monitor->keeper.pid, SIGTERM);
	monitor_arm(monitor->stop_deadline, monitor->settings->timing.stop_ms);
}

static void on_stop_deadline(evutil_socket_t fd, short what, void *context)
{
	struct monitor *monitor = context;

	(void)fd;
	(void)what;
	if (monitor->keeper.pid != 0)
		monitor_keeper_kill(monitor, "does not stop");
	else
		monitor_end(monitor, EX_OK);
}

/* sd_notify(3): the time tells this reload from one before it. */
static void tell_reloading(const struct monitor_settings *settings)
{
	struct timespec now;
	char lines[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	if (notify_send(settings->notify_socket, lines) != MORTISE_OK)
		log_warning("the service manager cannot be told: %s", strerror(errno));
}

/* No connection is touched, and no key: the keeper goes on with what it can take over. */
static void on_hangup(evutil_socket_t number, short what, void *context)
{
	struct monitor *monitor = context;
	const struct monitor_settings *settings = monitor->settings;

	(void)number;
	(void)what;
	if (!monitor->is_ready || monitor->stopping || !settings->reload)
		return;
	tell_reloading(settings);
	if (settings->reload(settings->context) == MORTISE_OK)
		monitor_keeper_configure(monitor);
	monitor_tell_manager(monitor, "READY=1\n");
}

static void on_restart(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	monitor_keeper_start(context);
}

static const struct {
	int number;
	event_callback_fn act;
} watched[MONITOR_SIGNALS] = {
	{SIGCHLD, on_child}, {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_hangup}};

static enum mortise_status watch_signals(struct monitor *monitor)
{
	for (size_t i = 0; i < MONITOR_SIGNALS; i++) {
		monitor->signals[i] =
			evsignal_new(monitor->base, watched[i].number, watched[i].act, monitor);
		if (!monitor->signals[i] || evsignal_add(monitor->signals[i], NULL) != 0)
			return MORTISE_IO;
	}
	return MORTISE_OK;
}

static enum mortise_status set_up(struct monitor *monitor)
{
	monitor->base = event_base_new();
	if (!monitor->base)
		return MORTISE_IO;
	monitor->stop_deadline = evtimer_new(monitor->base, on_stop_deadline, monitor);
	monitor->keeper.restart = evtimer_new(monitor->base, on_restart, monitor);
	monitor->sealer.deadline = evtimer_new(monitor->base, monitor_sealer_overdue, monitor);
	monitor->notes_fd = memfd_create("mortise-notes", MFD_CLOEXEC);
	TRY(credential_hold_new(monitor->base, monitor->settings->timing.unread_ms, on_refused_all,
		monitor, &monitor->hold));
	if (!monitor->stop_deadline || !monitor->keeper.restart || !monitor->sealer.deadline ||
		monitor->notes_fd < 0)
		return MORTISE_IO;
	return watch_signals(monitor);
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

/* Who is told once more to stop goes on with it: it must not end by that signal. */
static void block_watched(void)
{
	sigset_t all;

	sigemptyset(&all);
	for (size_t i = 0; i < MONITOR_SIGNALS; i++)
		sigaddset(&all, watched[i].number);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
}

/* Children that still run die with the monitor (PR_SET_PDEATHSIG); no need to wait for them. */
static void tear_down(struct monitor *monitor)
{
	block_watched();
	monitor_sealer_kill(monitor);
	monitor_witness_kill(monitor);
	for (size_t i = 0; i < MONITOR_RESOLVERS; i++) {
		if (monitor->resolvers[i].pid > 0)
			kill(monitor->resolvers[i].pid, SIGKILL);
	}
	for (size_t i = 0; i < MONITOR_SIGNALS; i++)
		free_event(monitor->signals[i]);
	free_event(monitor->keeper.readable);
	free_event(monitor->keeper.restart);
	free_event(monitor->sealer.deadline);
	free_event(monitor->stop_deadline);
	credential_hold_free(monitor->hold);
	if (monitor->base)
		event_base_free(monitor->base);
	close_drop(&monitor->keeper.fd);
	close_drop(&monitor->notes_fd);
	close_drop(&monitor->ready_fd);
}

int monitor_run(const struct monitor_settings *settings)
{
	struct monitor *monitor = calloc(1, sizeof *monitor);
	int exit_status;

	if (!monitor)
		return EX_OSERR;
	monitor->settings = settings;
	monitor->ready_fd = settings->ready_fd;
	monitor->keeper.fd = monitor->notes_fd = -1;
	monitor->exit_status = EX_OSERR;
	if (set_up(monitor) == MORTISE_OK) {
		monitor_keeper_start(monitor);
		event_base_dispatch(monitor->base);
	} else {
		log_error("the event loop cannot be set up: %s", strerror(errno));
	}
	exit_status = monitor->exit_status;
	tear_down(monitor);
	free(monitor);
	return exit_status;
}
