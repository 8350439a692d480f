/* SPDX-License-Identifier: ISC */
#include "credential.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "request_credential.h"

#define ANSWERS_PER_TURN 4                 /* as many values as the pool has room for */
#define REFUSAL_BYTES    (2 * 1024 * 1024) /* systemd stops at 1 MiB, encrypted a little later */
#define UNREAD_S         10
#define REST_MS          100 /* where accept() fails */
#define STOP_MS          500
#define SEND_ROOM        262144 /* a value leaves in one piece */
/* Of the places for refusals; root's service manager is not to stand behind users. */
#define PLACES_OF_USERS    16
#define PLACES_OF_ONE_USER 4

/* A decision of this turn, until its audit line is written. */
struct answer {
	int descriptor;
	uint32_t uid;
	struct secret *value; /* NULL: refused */
};

struct refusal {
	struct credentials *owner;
	int descriptor; /* -1: a free place */
	uint32_t uid;
	size_t sent;
	struct event writable, deadline;
};

struct credentials {
	struct event_base *base;
	struct agent *agent;
	struct event *arrival, *timer;
	struct timeval wait;
	bool is_overdue; /* who is in the queue now has waited long enough */
	bool is_resting; /* the timer only ends a rest */
	struct answer answers[ANSWERS_PER_TURN];
	size_t answer_count;
	struct refusal refusals[CREDENTIAL_REFUSALS_MAX];
	size_t refusal_count;
};

static const uint8_t zeros[65536];

static void end_refusal(struct refusal *refusal)
{
	struct credentials *owner = refusal->owner;

	event_del(&refusal->writable);
	event_del(&refusal->deadline);
	close(refusal->descriptor);
	refusal->descriptor = -1;
	owner->refusal_count--;
	if (!event_pending(owner->timer, EV_TIMEOUT, NULL))
		event_add(owner->arrival, NULL); /* there is a place again */
}

/* False at its end: all is sent, or the peer is gone, as systemd is when it has had enough. */
static bool send_zeros(struct refusal *refusal)
{
	while (refusal->sent < REFUSAL_BYTES) {
		ssize_t sent =
			send(refusal->descriptor, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		refusal->sent += (size_t)sent;
	}
	return false;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct refusal *refusal = context;

	(void)fd;
	if ((what & EV_TIMEOUT) || !send_zeros(refusal))
		end_refusal(refusal);
}

static void refuse(struct credentials *credentials, int descriptor, uint32_t uid)
{
	const struct timeval limit = {UNREAD_S, 0};
	struct refusal *place = credentials->refusals;

	while (place->descriptor >= 0)
		place++; /* accept_one() has made sure of one */
	*place = (struct refusal){.owner = credentials, .descriptor = descriptor, .uid = uid};
	credentials->refusal_count++;
	(void)event_assign(&place->writable, credentials->base, descriptor, EV_WRITE | EV_PERSIST,
		on_writable, place);
	(void)evtimer_assign(&place->deadline, credentials->base, on_writable, place);
	if (!send_zeros(place) || event_add(&place->writable, NULL) != 0 ||
		event_add(&place->deadline, &limit) != 0)
		end_refusal(place);
}

/* A part that did not leave whole must not be taken for the value. */
static void deliver(struct credentials *credentials, const struct answer *answer)
{
	const struct secret *value = answer->value;
	ssize_t sent =
		send(answer->descriptor, value->bytes, value->size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent == (ssize_t)value->size || (sent < 0 && errno == EPIPE))
		close(answer->descriptor);
	else
		refuse(credentials, answer->descriptor, answer->uid);
}

static void on_turn_ended(void *context, bool is_on_record)
{
	struct credentials *credentials = context;
	size_t count = credentials->answer_count;

	credentials->answer_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct answer *answer = &credentials->answers[i];

		if (answer->value != NULL && is_on_record)
			deliver(credentials, answer);
		else
			refuse(credentials, answer->descriptor, answer->uid);
		if (answer->value != NULL && !is_on_record)
			log_error("credentials are refused: the audit log can't be written; "
				  "free some space");
		secret_drop(&answer->value);
	}
}

/*
 * Nothing can be asked of systemd, so that a kernel without SO_PEERPIDFD proves less: whoever
 * has the pid by now.
 */
static enum mortise_status pin(const struct agent *agent, struct caller *caller)
{
	if (caller->is_pinned)
		return MORTISE_OK;
	if (agent->requires_pidfd)
		return MORTISE_DENIED;
	TRY(caller_greet(caller));
	return caller_pin(caller, caller->challenge, sizeof caller->challenge);
}

static enum mortise_status judge(
	struct agent *agent, int descriptor, struct caller *caller, struct secret **out_value)
{
	struct sockaddr_un address = {.sun_family = AF_UNSPEC};
	struct credential_address wanted = {"", ""};
	socklen_t size = sizeof address;
	char why[CREDENTIAL_WHY_SIZE] = "";
	bool is_known = getpeername(descriptor, (struct sockaddr *)&address, &size) == 0 &&
			credential_address_read(&address, size, &wanted) == MORTISE_OK;
	enum mortise_status status =
		request_credential(agent, caller, is_known ? &wanted : NULL, out_value, why);

	if (status != MORTISE_OK && caller->subject.uid == 0)
		log_warning("credential %s for %s (pid %u): refused: %s",
			is_known ? wanted.id : "?", is_known ? wanted.unit : "?", caller->pid, why);
	return status;
}

static uint32_t decide(struct agent *agent, int descriptor, struct secret **out_value)
{
	struct caller caller = {.subject.uid = UINT32_MAX, .pidfd = -1};
	enum mortise_status known = caller_identify(descriptor, &caller);

	if (known == MORTISE_OK)
		known = pin(agent, &caller);
	if (known == MORTISE_OK)
		(void)!judge(agent, descriptor, &caller, out_value);
	else
		request_record_unknown(agent, descriptor, NULL);
	uint32_t uid = caller.subject.uid;
	caller_done(&caller);
	return uid;
}

/* What a user's own manager has lying about unread is that user's affair. */
static bool is_greedy(const struct credentials *credentials, uint32_t uid)
{
	size_t own = 0, users = 0;

	for (size_t i = 0; uid != 0 && i < CREDENTIAL_REFUSALS_MAX; i++) {
		const struct refusal *refusal = &credentials->refusals[i];

		users += refusal->descriptor >= 0 && refusal->uid != 0;
		own += refusal->descriptor >= 0 && refusal->uid == uid;
	}
	return own >= PLACES_OF_ONE_USER || users >= PLACES_OF_USERS;
}

static bool accept_one(struct credentials *credentials, int listener)
{
	const int room = SEND_ROOM;

	if (credentials->answer_count == ANSWERS_PER_TURN)
		return false; /* the next turn is at once */
	if (credentials->refusal_count + credentials->answer_count == CREDENTIAL_REFUSALS_MAX) {
		event_del(credentials->arrival);
		return false;
	}
	int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (descriptor < 0)
		return false;
	(void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	struct secret *value = NULL;
	uint32_t uid = decide(credentials->agent, descriptor, &value);
	if (value == NULL && is_greedy(credentials, uid))
		close(descriptor);
	else
		credentials->answers[credentials->answer_count++] =
			(struct answer){descriptor, uid, value};
	return true;
}

static void pause_for(struct credentials *credentials, const struct timeval *pause, bool is_rest)
{
	event_del(credentials->arrival);
	credentials->is_resting = is_rest;
	(void)event_add(credentials->timer, pause);
}

static bool is_sealed(const struct credentials *credentials)
{
	return lifecycle_state(credentials->agent->lifecycle) != LIFECYCLE_UNSEALED;
}

static void on_arrival(evutil_socket_t listener, short what, void *context)
{
	const struct timeval rest = {0, REST_MS * 1000};
	struct credentials *credentials = context;

	(void)what;
	if (is_sealed(credentials) && !credentials->is_overdue) {
		pause_for(credentials, &credentials->wait, false);
		return;
	}
	errno = 0;
	while (accept_one(credentials, listener))
		errno = 0;
	if (errno == EAGAIN)
		credentials->is_overdue = false; /* the queue is empty */
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		pause_for(credentials, &rest, true);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct credentials *credentials = context;

	(void)fd;
	(void)what;
	if (!credentials->is_resting)
		credentials->is_overdue = true;
	(void)event_add(credentials->arrival, NULL);
}

void credential_look_again(struct credentials *credentials)
{
	if (credentials == NULL || is_sealed(credentials))
		return;
	credentials->is_overdue = false;
	event_del(credentials->timer);
	(void)event_add(credentials->arrival, NULL);
}

enum mortise_status credential_new(struct event_base *base, struct agent *agent, int listener,
	unsigned wait_ms, struct credentials **out_credentials)
{
	struct credentials *credentials = calloc(1, sizeof *credentials);

	if (credentials == NULL)
		return MORTISE_BUSY;
	credentials->base = base;
	credentials->agent = agent;
	credentials->wait = (struct timeval){wait_ms / 1000, wait_ms % 1000 * 1000};
	for (size_t i = 0; i < CREDENTIAL_REFUSALS_MAX; i++)
		credentials->refusals[i].descriptor = -1;
	credentials->arrival =
		event_new(base, listener, EV_READ | EV_PERSIST, on_arrival, credentials);
	credentials->timer = evtimer_new(base, on_timer, credentials);
	if (credentials->arrival == NULL || credentials->timer == NULL ||
		event_add(credentials->arrival, NULL) != 0) {
		credential_free(credentials);
		return MORTISE_BUSY;
	}
	agent->turn_ended = on_turn_ended;
	agent->credentials = credentials;
	*out_credentials = credentials;
	return MORTISE_OK;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Closed half-way, a refusal would be a credential of zeros. */
static void finish(struct refusal *refusal, int64_t end_ms)
{
	struct pollfd peer = {.fd = refusal->descriptor, .events = POLLOUT};
	int64_t left_ms = end_ms - now_ms();

	while (left_ms > 0 && poll(&peer, 1, (int)left_ms) > 0 && send_zeros(refusal))
		left_ms = end_ms - now_ms();
	event_del(&refusal->writable);
	event_del(&refusal->deadline);
	close(refusal->descriptor);
}

void credential_free(struct credentials *credentials)
{
	int64_t end_ms = now_ms() + STOP_MS;

	if (credentials == NULL)
		return;
	for (size_t i = 0; i < CREDENTIAL_REFUSALS_MAX; i++)
		if (credentials->refusals[i].descriptor >= 0)
			finish(&credentials->refusals[i], end_ms);
	credentials->agent->turn_ended = NULL;
	if (credentials->arrival != NULL) {
		close(event_get_fd(credentials->arrival));
		event_free(credentials->arrival);
	}
	if (credentials->timer != NULL)
		event_free(credentials->timer);
	free(credentials);
}
