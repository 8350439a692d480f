/* SPDX-License-Identifier: ISC */
#include "monitor_keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "directory.h"
#include "little_endian.h"
#include "log.h"
#include "monitor_children.h"
#include "monitor_request.h"

#define DAY_S         86400
#define CONFIGURE_MAX (4 * 4096 + 1024) /* two paths, names, numbers */

static int64_t now_ms(void)
{
	return (int64_t)(clock_steady_us() / 1000);
}

static void put_listeners(struct wire_writer *writer, const struct monitor_settings *settings)
{
	size_t list = wire_list_begin(writer, PROCESS_TAG_ITEMS);

	for (size_t i = 0; i < settings->listener_count; i++) {
		const struct monitor_listener *listener = &settings->listeners[i];
		bool is_special = listener->is_for_credentials;
		size_t item = wire_item_begin(writer);

		wire_put_text(writer, PROCESS_TAG_NAME, listener->name);
		wire_put_number(writer, PROCESS_TAG_NUMBER,
			is_special ? (uint64_t)listener->wait_ms : listener->verbs);
		if (is_special)
			wire_put_number(writer, PROCESS_TAG_FLAGS, PROCESS_FOR_CREDENTIALS);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
}

static uint64_t flags_of(const struct config *config)
{
	return (config->audit_sync_always ? PROCESS_AUDIT_SYNC_ALWAYS : 0) |
	       (config->requires_pidfd ? PROCESS_REQUIRE_PIDFD : 0) |
	       (config->has_insecure_memory ? PROCESS_INSECURE_MEMORY : 0) |
	       (config->has_exe_evidence ? PROCESS_EXE_EVIDENCE : 0) | PROCESS_HAS_WITNESS;
}

static size_t build_configuration(
	const struct monitor_settings *settings, uint8_t *frame, size_t capacity)
{
	const struct config *config = settings->config;
	uint8_t ids[4 * PROCESS_IDS] = {0};
	struct wire_writer writer;

	le32_put(ids + 4 * PROCESS_ID_AGENT, settings->identity->uid);
	le32_put(ids + 4 * PROCESS_ID_FIRST, settings->first_uid);
	le32_put(ids + 4 * PROCESS_ID_OPERATORS, settings->operators_gid);
	wire_begin(&writer, frame, capacity, PROCESS_CONFIGURE, 0);
	put_listeners(&writer, settings);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, (uint64_t)config->hardware_deadline_ms);
	wire_put_number(&writer, PROCESS_TAG_DELETED, (uint64_t)config->deleted_keep_days * DAY_S);
	wire_put(&writer, PROCESS_TAG_IDS, ids, sizeof ids);
	wire_put_text(&writer, PROCESS_TAG_STORE, config->store);
	wire_put_text(&writer, PROCESS_TAG_AUDIT_LOG, config->audit_log);
	wire_put_number(&writer, PROCESS_TAG_FLAGS, flags_of(config));
	if (config->environment)
		wire_put_text(&writer, PROCESS_TAG_ENVIRONMENT, config->environment);
	wire_put_number(&writer, PROCESS_TAG_COUNTER, (uint64_t)config->anchor_window_s);
	if (config->has_hash)
		wire_put(&writer, PROCESS_TAG_HASH, config->hash, sizeof config->hash);
	if (config->later[0] != '\0')
		wire_put_text(&writer, PROCESS_TAG_LATER, config->later);
	return wire_finish(&writer);
}

void monitor_keeper_configure(struct monitor *monitor)
{
	uint8_t frame[CONFIGURE_MAX];
	size_t size = build_configuration(monitor->settings, frame, sizeof frame);

	if (monitor->keeper.fd < 0)
		return;
	if (size == 0 || monitor_send(monitor, frame, size, NULL, 0) != MORTISE_OK)
		monitor_keeper_kill(monitor, "takes no configuration");
}

static enum mortise_status configure(struct monitor *monitor)
{
	const struct monitor_settings *settings = monitor->settings;
	uint8_t frame[CONFIGURE_MAX];
	size_t size = build_configuration(settings, frame, sizeof frame);
	int fds[MONITOR_FDS_MAX];
	size_t count = 0;

	if (size == 0 || settings->listener_count > PROCESS_LISTENERS_MAX)
		return MORTISE_INVALID;
	while (count < settings->listener_count) {
		fds[count] = settings->listeners[count].fd;
		count++;
	}
	return monitor_send(monitor, frame, size, fds, count);
}

/* Descriptors that the keeper sends along are dropped by the kernel: there is no room for them. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct monitor *monitor = context;
	ssize_t size = recv(fd, monitor->frame, sizeof monitor->frame, MSG_DONTWAIT | MSG_TRUNC);
	struct wire_message message;

	(void)what;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0)
		monitor_keeper_kill(monitor, NULL);
	else if ((size_t)size > sizeof monitor->frame ||
		 wire_parse(monitor->frame, (size_t)size, &message) != MORTISE_OK)
		monitor_keeper_kill(monitor, "sent what is no frame");
	else
		monitor_request(monitor, &message);
}

static enum mortise_status start(struct monitor *monitor)
{
	struct monitor_keeper *keeper = &monitor->keeper;
	const struct monitor_settings *settings = monitor->settings;

	TRY(spawn_keeper(settings->keeper_program, settings->identity, &keeper->pid, &keeper->fd));
	keeper->number++;
	keeper->started_ms = now_ms();
	keeper->readable =
		event_new(monitor->base, keeper->fd, EV_READ | EV_PERSIST, on_readable, monitor);
	if (!keeper->readable || event_add(keeper->readable, NULL) != 0 ||
		configure(monitor) != MORTISE_OK)
		monitor_keeper_kill(monitor, "cannot be configured");
	return MORTISE_OK;
}

static int delay_ms(struct monitor *monitor)
{
	const struct monitor_timing *timing = &monitor->settings->timing;
	int delay = timing->restart_first_ms;

	if (monitor->keeper.failures++ == 0)
		return 0;
	for (unsigned i = 2; i < monitor->keeper.failures && delay < timing->restart_max_ms; i++)
		delay *= 2;
	return delay < timing->restart_max_ms ? delay : timing->restart_max_ms;
}

void monitor_keeper_start(struct monitor *monitor)
{
	if (start(monitor) == MORTISE_OK)
		return;
	log_error("the keeper cannot be started: %s", strerror(errno));
	monitor_arm(monitor->keeper.restart, monitor->settings->timing.restart_max_ms);
}

static bool is_final(int wait_status)
{
	int status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EX_OK;

	return status == EX_CONFIG || status == EX_CANTCREAT || status == EX_DATAERR;
}

static void restart(struct monitor *monitor, int wait_status)
{
	int delay = delay_ms(monitor);

	if (WIFSIGNALED(wait_status))
		log_error("the keeper was ended by signal %d (%s); a new one starts in %d ms",
			WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)), delay);
	else
		log_error("the keeper ended with status %d; a new one starts in %d ms",
			WEXITSTATUS(wait_status), delay);
	monitor_arm(monitor->keeper.restart, delay);
}

/*
 * A sealer's answer would be nobody's: it goes with its keeper. Before the monitor ends it may
 * close what it has open in the hardware: what a killed one leaves there is not flushed by a next.
 */
void monitor_keeper_ended(struct monitor *monitor, int wait_status)
{
	struct monitor_keeper *keeper = &monitor->keeper;

	keeper->pid = 0;
	monitor_credential_keeper_ended(monitor);
	monitor_witness_kill(monitor);
	monitor_keeper_stop_reading(keeper);
	if (!monitor->stopping)
		monitor_sealer_kill(monitor);
	if (now_ms() - keeper->started_ms >= monitor->settings->timing.healthy_ms)
		keeper->failures = 0;
	if (monitor->stopping) {
		if (monitor->sealer.pid == 0)
			monitor_end(monitor, EX_OK);
	} else if (is_final(wait_status)) {
		log_error("the keeper cannot work (status %d)", WEXITSTATUS(wait_status));
		monitor_end(monitor, WEXITSTATUS(wait_status));
	} else {
		restart(monitor, wait_status);
	}
}
