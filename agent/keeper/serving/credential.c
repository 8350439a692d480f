/* SPDX-License-Identifier: ISC */
#include "credential.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "processes.h"
#include "request_credential.h"

#define ANSWERS_PER_TURN 4   /* as many values as the pool has room for */
#define REST_MS          100 /* where the monitor has no room for more */

/* A connection that the monitor holds, too, until it is released. */
struct answer {
	uint64_t number;      /* the monitor's name for it */
	int descriptor;       /* -1: closed, and not released yet */
	struct secret *value; /* until the turn's audit lines are written; NULL: refused */
	bool is_delivered;
};

/* A connection that waits until it is found out which program asks. */
struct asking {
	struct credentials *credentials;
	bool is_used;
	struct answer answer;
	struct caller caller;
};

struct credentials {
	struct event_base *base;
	struct agent *agent;
	struct event *arrival, *timer;
	struct timeval wait;
	bool is_overdue; /* who is in the queue now has waited long enough */
	bool is_resting; /* the timer only ends a rest */
	bool needs_rest, is_stopping;
	size_t asked; /* of the monitor, and not answered yet */
	struct answer answers[ANSWERS_PER_TURN];
	size_t answer_count;
	struct asking askings[ANSWERS_PER_TURN];
	size_t asking_count; /* of those in use */
};

/* What did not leave whole must not be taken for the value. */
static bool deliver(const struct answer *answer)
{
	const struct secret *value = answer->value;
	ssize_t sent =
		send(answer->descriptor, value->bytes, value->size, MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent == (ssize_t)value->size || (sent < 0 && errno == EPIPE);
}

static void settle(struct answer *answer, bool is_on_record)
{
	if (answer->value && is_on_record)
		answer->is_delivered = deliver(answer);
	else if (answer->value)
		log_error("credentials are refused: the audit log can't be written; "
			  "free some space");
	secret_drop(&answer->value);
	if (answer->descriptor >= 0)
		close(answer->descriptor);
	answer->descriptor = -1;
}

static enum mortise_status release(struct monitor_link *monitor, const struct answer *answer)
{
	struct wire_writer *writer = monitor_begin(monitor, PROCESS_RELEASE);

	wire_put_number(
		writer, PROCESS_TAG_STATUS, answer->is_delivered ? MORTISE_OK : MORTISE_DENIED);
	wire_put_number(writer, PROCESS_TAG_NUMBER, answer->number);
	return monitor_tell(monitor);
}

/* What the monitor does not take now is released at the end of another turn. */
static void on_turn_ended(void *context, bool is_on_record)
{
	struct credentials *credentials = context;
	size_t count = credentials->answer_count;

	credentials->answer_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct answer *answer = &credentials->answers[i];

		settle(answer, is_on_record);
		if (release(credentials->agent->monitor, answer) != MORTISE_OK)
			credentials->answers[credentials->answer_count++] = *answer;
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

/* Its answer leaves at the turn's end. */
static void finish(void *context)
{
	struct asking *asking = context;
	struct credentials *credentials = asking->credentials;
	struct answer *answer = &credentials->answers[credentials->answer_count++];

	*answer = asking->answer;
	/* Why there is no value is on record; without one the unit is refused. */
	(void)!judge(credentials->agent, answer->descriptor, &asking->caller, &answer->value);
	caller_done(&asking->caller);
	asking->is_used = false;
	credentials->asking_count--;
}

static struct asking *find_room(struct credentials *credentials)
{
	struct asking *asking = credentials->askings;

	while (asking->is_used)
		asking++;
	return asking;
}

static enum mortise_status confirm(struct asking *asking)
{
	TRY(caller_confirm(&asking->caller));
	return pin(asking->credentials->agent, &asking->caller);
}

static void refuse(struct asking *asking)
{
	struct credentials *credentials = asking->credentials;

	request_record_unknown(credentials->agent, asking->answer.descriptor, NULL);
	caller_done(&asking->caller);
	asking->is_used = false;
	credentials->asking_count--;
	credentials->answers[credentials->answer_count++] = asking->answer;
}

/* The caller stays where it is: it is told of there. */
static void on_looked(void *context)
{
	struct asking *asking = context;
	struct agent *agent = asking->credentials->agent;
	struct caller *caller = &asking->caller;

	if (confirm(asking) != MORTISE_OK)
		refuse(asking);
	else if (!request_credential_wants_exe(agent, caller) ||
		 !evidence_await_exe(agent->evidence, caller, finish, asking))
		finish(asking);
}

static void identify(struct credentials *credentials, const struct answer *answer)
{
	struct asking *asking = find_room(credentials);

	*asking = (struct asking){.credentials = credentials,
		.is_used = true,
		.answer = *answer,
		.caller = {.subject.uid = UINT32_MAX, .pidfd = -1}};
	credentials->asking_count++;
	if (caller_identify(answer->descriptor, &asking->caller) != MORTISE_OK)
		refuse(asking);
	else if (!evidence_await_look(credentials->agent->evidence, &asking->caller,
			 1u << ATTRIBUTE_UNIT, on_looked, asking))
		on_looked(asking);
}

static void take(struct credentials *credentials, const struct wire_message *given, int descriptor)
{
	struct answer answer = {.descriptor = descriptor};

	if (wire_number(given, PROCESS_TAG_NUMBER, &answer.number) != MORTISE_OK)
		return;
	if (descriptor >= 0) {
		identify(credentials, &answer);
		return;
	}
	credentials->answers[credentials->answer_count++] = answer;
	log_error("credentials are refused: no descriptor is left for them");
}

static void pause_for(struct credentials *credentials, const struct timeval *pause, bool is_rest)
{
	event_del(credentials->arrival);
	credentials->is_resting = is_rest;
	(void)event_add(credentials->timer, pause);
}

static void rest(struct credentials *credentials)
{
	const struct timeval pause = {0, REST_MS * 1000};

	credentials->needs_rest = false;
	pause_for(credentials, &pause, true);
}

static void on_accepted(void *context, const struct wire_message *given, int descriptor)
{
	struct credentials *credentials = context;

	credentials->asked--;
	if (!given)
		return;
	if (given->code == MORTISE_OK)
		take(credentials, given, descriptor);
	else if (given->code == MORTISE_NOT_FOUND)
		credentials->is_overdue = false; /* the queue is empty */
	else
		credentials->needs_rest = true;
	if (credentials->asked > 0 || credentials->is_stopping)
		return;
	if (credentials->needs_rest)
		rest(credentials);
	else
		(void)event_add(credentials->arrival, NULL);
}

static bool is_sealed(const struct credentials *credentials)
{
	return lifecycle_state(credentials->agent->lifecycle) != LIFECYCLE_UNSEALED;
}

/* The monitor is asked for as many as can be answered in one turn, though fewer may wait. */
static void ask(struct credentials *credentials)
{
	struct monitor_link *monitor = credentials->agent->monitor;

	while (credentials->asked + credentials->answer_count + credentials->asking_count <
		ANSWERS_PER_TURN) {
		(void)monitor_begin(monitor, PROCESS_ACCEPT);
		if (monitor_ask(monitor, 0, on_accepted, credentials) != MORTISE_OK)
			break;
		credentials->asked++;
	}
}

/* That somebody waits is seen here; he is accepted by the monitor. */
static void on_arrival(evutil_socket_t listener, short what, void *context)
{
	struct credentials *credentials = context;

	(void)listener;
	(void)what;
	if (is_sealed(credentials) && !credentials->is_overdue) {
		pause_for(credentials, &credentials->wait, false);
		return;
	}
	event_del(credentials->arrival);
	ask(credentials);
	if (credentials->asked == 0)
		rest(credentials);
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
	if (!credentials || credentials->is_stopping || is_sealed(credentials))
		return;
	credentials->is_overdue = false;
	event_del(credentials->timer);
	(void)event_add(credentials->arrival, NULL);
}

enum mortise_status credential_new(struct event_base *base, struct agent *agent, int listener,
	unsigned wait_ms, struct credentials **out_credentials)
{
	struct credentials *credentials = calloc(1, sizeof *credentials);

	if (!credentials)
		return MORTISE_BUSY;
	credentials->base = base;
	credentials->agent = agent;
	credentials->wait = (struct timeval){wait_ms / 1000, wait_ms % 1000 * 1000};
	credentials->arrival =
		event_new(base, listener, EV_READ | EV_PERSIST, on_arrival, credentials);
	credentials->timer = evtimer_new(base, on_timer, credentials);
	if (!credentials->arrival || !credentials->timer ||
		event_add(credentials->arrival, NULL) != 0) {
		credential_free(credentials);
		return MORTISE_BUSY;
	}
	agent->turn_ended = on_turn_ended;
	agent->credentials = credentials;
	*out_credentials = credentials;
	return MORTISE_OK;
}

void credential_stop(struct credentials *credentials)
{
	if (!credentials)
		return;
	credentials->is_stopping = true;
	event_del(credentials->arrival);
	event_del(credentials->timer);
}

bool credential_is_idle(const struct credentials *credentials)
{
	return !credentials || (credentials->asked == 0 && credentials->answer_count == 0 &&
				       credentials->asking_count == 0);
}

void credential_free(struct credentials *credentials)
{
	if (!credentials)
		return;
	for (size_t i = 0; i < credentials->answer_count; i++)
		settle(&credentials->answers[i], false);
	for (size_t i = 0; i < ANSWERS_PER_TURN; i++) {
		if (!credentials->askings[i].is_used)
			continue;
		settle(&credentials->askings[i].answer, false);
		caller_done(&credentials->askings[i].caller);
	}
	credentials->agent->turn_ended = NULL;
	if (credentials->arrival) {
		close(event_get_fd(credentials->arrival));
		event_free(credentials->arrival);
	}
	if (credentials->timer)
		event_free(credentials->timer);
	free(credentials);
}
