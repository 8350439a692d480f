/* SPDX-License-Identifier: ISC */
/*
 * Service managers' connections: accepted here for the keeper, and held until it has answered
 * them. What it does not confirm as delivered is refused, so that its end leaves no empty
 * credential.
 */
#include <sys/socket.h>

#include "log.h"
#include "monitor_state.h"

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
	wire_put_number(&writer, WIRE_TAG_NUMBER, number);
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

	TRY(wire_number(message, WIRE_TAG_STATUS, &status));
	TRY(wire_number(message, WIRE_TAG_NUMBER, &number));
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
			(void)!release(monitor, &message);
	}
	size_t refused = credential_hold_refuse_all(monitor->hold);
	if (refused > 0)
		log_warning("credentials are refused: the keeper ended before it had answered %zu; "
			    "start the units again",
			refused);
}
