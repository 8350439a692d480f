/* SPDX-License-Identifier: ISC */
#include "monitor_request.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "directory.h"
#include "log.h"
#include "monitor_children.h"
#include "names.h"
#include "notify.h"
#include "processes.h"

/* The text goes to the log and, as one line of several, to the service manager. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

static void tell(struct monitor *monitor, const char *lines)
{
	if (notify_send(monitor->settings->notify_socket, lines) != MORTISE_OK)
		log_warning("the service manager cannot be told: %s", strerror(errno));
}

void monitor_tell_manager(struct monitor *monitor, const char *before)
{
	char lines[WIRE_TEXT_MAX + 64];

	snprintf(lines, sizeof lines, "%sSTATUS=%s", before, monitor->state);
	tell(monitor, lines);
}

static void tell_starter(struct monitor *monitor)
{
	if (monitor->ready_fd < 0)
		return;
	if (write(monitor->ready_fd, "\n", 1) != 1)
		log_warning("--ready-fd: %s", strerror(errno));
	close_drop(&monitor->ready_fd);
}

/* A malformed field is none. */
static void raise_pin_flag(struct monitor *monitor, const struct wire_message *message)
{
	uint64_t flags = 0;

	if (wire_has(message, PROCESS_TAG_FLAGS))
		(void)!wire_number(
			message, PROCESS_TAG_FLAGS, &flags); /* what is no number is none */
	bool is_up = (flags & PROCESS_WAITS_FOR_PIN) != 0;
	if (is_up == monitor->has_pin_flag)
		return;
	monitor->has_pin_flag = is_up;
	if (pin_flag_set(monitor->settings->runtime_directory, is_up) != MORTISE_OK)
		log_warning("%s/" PIN_FLAG_NAME ": %s; nobody is asked for the PIN by systemd",
			monitor->settings->runtime_directory, strerror(errno));
}

/* Of attempts that come to the same, one after another, the log has the first. */
static void log_state(struct monitor *monitor)
{
	static const char trying[] = "unsealing", shut[] = "sealed";
	bool is_on_the_way = strncmp(monitor->state, trying, sizeof trying - 1) == 0 &&
			     strncmp(monitor->logged, shut, sizeof shut - 1) == 0;

	if (is_on_the_way || strcmp(monitor->state, monitor->logged) == 0)
		return;
	memcpy(monitor->logged, monitor->state, sizeof monitor->logged);
	log_info("%s", monitor->state);
}

static void ready(struct monitor *monitor, const struct wire_message *message)
{
	char text[sizeof monitor->state];
	bool first = !monitor->is_ready;

	if (wire_text(message, PROCESS_TAG_TEXT, text, sizeof text) != MORTISE_OK) {
		monitor_keeper_kill(monitor, "sent a malformed READY");
		return;
	}
	make_printable(text);
	if (monitor->settings->has_watchdog)
		tell(monitor, "WATCHDOG=1");
	raise_pin_flag(monitor, message);
	if (!first && strcmp(text, monitor->state) == 0)
		return;
	memcpy(monitor->state, text, strlen(text) + 1);
	log_state(monitor);
	monitor->is_ready = true;
	monitor_tell_manager(monitor, first ? "READY=1\n" : "");
	tell_starter(monitor);
}

static void spawn(struct monitor *monitor, const struct wire_message *message)
{
	monitor_sealer_start(monitor, message->request_id);
}

static struct monitor_resolver *free_resolver(struct monitor *monitor)
{
	for (size_t i = 0; i < MONITOR_RESOLVERS; i++) {
		if (monitor->resolvers[i].pid == 0)
			return &monitor->resolvers[i];
	}
	return NULL;
}

static void start_resolver(struct monitor *monitor, const struct wire_message *message)
{
	struct monitor_resolver *resolver = free_resolver(monitor);

	if (!resolver) {
		monitor_answer(monitor, message->request_id, MORTISE_BUSY,
			"too many look-ups at once", -1);
		return;
	}
	resolver->request_id = message->request_id;
	resolver->keeper_number = monitor->keeper.number;
	if (names_start(message, monitor->keeper.fd, monitor->settings->identity, &resolver->pid) !=
		MORTISE_OK)
		monitor_answer(
			monitor, message->request_id, MORTISE_IO, "no look-up can be started", -1);
}

static void resolve(struct monitor *monitor, const struct wire_message *message)
{
	enum mortise_status status = names_check(message);

	if (status == MORTISE_OK)
		start_resolver(monitor, message);
	else if (status == MORTISE_REJECTED)
		monitor_answer(monitor, message->request_id, MORTISE_INVALID,
			"too many names in one request", -1);
	else
		monitor_keeper_kill(monitor, "sent a malformed RESOLVE");
}

void monitor_resolver_ended(
	struct monitor *monitor, struct monitor_resolver *resolver, int wait_status)
{
	bool has_answered = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;

	resolver->pid = 0;
	if (has_answered || resolver->keeper_number != monitor->keeper.number)
		return;
	log_warning("a name service did not answer within %d s, or failed", NAMES_DEADLINE_S);
	monitor_answer(
		monitor, resolver->request_id, MORTISE_IO, "the name service does not answer", -1);
}

static const struct {
	uint16_t opcode;
	const uint16_t *fields; /* which may be there */
	void (*act)(struct monitor *monitor, const struct wire_message *message);
} requests[] = {
	{PROCESS_READY, WIRE_TAGS(PROCESS_TAG_TEXT, PROCESS_TAG_NUMBER, PROCESS_TAG_FLAGS), ready},
	{PROCESS_SPAWN, NULL, spawn},
	{PROCESS_RESOLVE, WIRE_TAGS(PROCESS_TAG_USERS, PROCESS_TAG_GROUPS), resolve},
	{PROCESS_WITNESS, WIRE_TAGS(PROCESS_TAG_NUMBER), monitor_witness_start},
	{PROCESS_ACCEPT, NULL, monitor_credential_accept},
	{PROCESS_RELEASE, WIRE_TAGS(PROCESS_TAG_STATUS, PROCESS_TAG_NUMBER),
		monitor_credential_release},
};

void monitor_request(struct monitor *monitor, const struct wire_message *message)
{
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		if (requests[i].opcode != message->code)
			continue;
		if (!wire_has_fields(message, NULL, requests[i].fields))
			break;
		requests[i].act(monitor, message);
		return;
	}
	monitor_keeper_kill(monitor, "sent a request that it may not make");
}
