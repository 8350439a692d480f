/* SPDX-License-Identifier: ISC */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event_struct.h>
#include <sodium.h>

#include "crowd.h"
#include "refusal.h"
#include "turn.h"

#define ACCEPTS_PER_TURN 128
/* Until the answers leave: whoever waits for somebody else's request waits for no more of them. */
#define TURN_US        1000
#define TURN_ANSWERS   256
#define ARENA_BYTES    (5 * WIRE_FRAME_MAX)
#define BLOCKED_BYTES  (8 * WIRE_FRAME_MAX) /* answers that wait for clients to read */
#define UNREAD_SECONDS 10                   /* until a client that does not read is dropped */

#define FEW 256 /* connections: to name those that wait costs less than to be told not to */

#define NO_PIDFD                                                                                   \
	"denied: require-pidfd is set, and this kernel cannot name who connects (SO_PEERPIDFD, "   \
	"Linux 6.5)"

#define NEVER                                                                                      \
	"the kernel does not say for certain who you are (nobody, another user namespace, "        \
	"or a set-uid program), and so you are never served; run it as a user of its own"
#define NOT_NOW "who asks could not be found out: the witness could not look; try again"

struct connection {
	struct requester requester; /* first: a requester is its connection */
	struct place place;
	struct server *server;
	int descriptor;
	struct event readable, writable;
	struct secret *blocked; /* the answer that the client has no room for */
	struct connection *previous, *next;
	bool is_refused; /* the kernel does not say who it is: told so once, and closed */
	bool has_waited_for_look, has_waited_for_exe; /* before its next frame: once each */
	bool is_closing;  /* freed when no answer of this turn holds it any more */
	unsigned answers; /* in this turn, and 1 while a frame is handled */
};

struct answer {
	struct connection *connection;
	uint32_t request_id;
	size_t offset, size; /* in the arena */
};

struct doorway {
	struct server *server;
	struct event *event;
	struct entrance entrance;
};

struct server {
	struct event_base *base;
	struct agent *agent;
	struct doorway listeners[PROCESS_LISTENERS_MAX];
	size_t listener_count;
	int spare; /* a descriptor to give up when there are no more */
	struct connection *connections;
	size_t count, maximum;
	struct crowd *crowd;
	size_t blocked_bytes;
	struct secret *frame;   /* the frame being read */
	struct secret *scratch; /* the answer being written */
	struct secret *arena;   /* the turn's answers */
	size_t arena_used;
	struct answer answers[TURN_ANSWERS];
	size_t answer_count;
	uint64_t ending_us; /* spent on ends of turns so far */
};

/* ---- a connection, and what is sent on it ---- */

static void unlink_connection(struct connection *connection)
{
	struct server *server = connection->server;

	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	server->count--;
}

static void drop_blocked(struct connection *connection)
{
	if (!connection->blocked)
		return;
	connection->server->blocked_bytes -= connection->blocked->size;
	secret_drop(&connection->blocked);
	crowd_keep(&connection->place, 0);
	connection->place.is_busy = connection->requester.pending;
}

static void connection_close(struct connection *connection)
{
	if (!connection->is_closing) {
		connection->is_closing = true;
		event_del(&connection->readable);
		event_del(&connection->writable);
		close(connection->descriptor);
		drop_blocked(connection);
		crowd_leave(connection->server->crowd, &connection->place);
		unlink_connection(connection);
		requester_done(&connection->requester);
	}
	if (connection->answers == 0)
		free(connection);
}

/* is_busy: until an answer has left. */
static void stop_reading(struct connection *connection, bool is_busy)
{
	event_del(&connection->readable);
	crowd_step_out(connection->server->crowd, &connection->place);
	connection->place.is_busy = is_busy;
}

/* The client has read: the blocked answer goes, and frames are read again. */
static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	struct secret *blocked = connection->blocked;

	if (what & EV_TIMEOUT) {
		connection_close(connection);
		return;
	}
	ssize_t sent = send(fd, blocked->bytes, blocked->size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
		const struct timeval limit = {UNREAD_SECONDS, 0};
		event_add(&connection->writable, &limit);
		return;
	}
	drop_blocked(connection);
	if (sent < 0 || event_add(&connection->readable, NULL) != 0)
		connection_close(connection);
}

/* Room for what a client has not read yet, at the cost of a uid for which more is kept already. */
static enum mortise_status make_room(struct connection *connection, size_t size)
{
	struct server *server = connection->server;

	while (server->blocked_bytes + size > BLOCKED_BYTES) {
		struct place *heaviest = crowd_heaviest(server->crowd, &connection->place, size);

		if (!heaviest)
			return MORTISE_BUSY;
		connection_close(heaviest->owner);
	}
	return MORTISE_OK;
}

/* Keeps an answer that the client's socket has no room for; nothing more is read until then. */
static enum mortise_status keep(struct connection *connection, const uint8_t *frame, size_t size)
{
	const struct timeval limit = {UNREAD_SECONDS, 0};

	if (connection->blocked)
		return MORTISE_BUSY;
	TRY(make_room(connection, size));
	TRY(secret_copy(frame, size, &connection->blocked));
	connection->server->blocked_bytes += size;
	crowd_keep(&connection->place, size);
	stop_reading(connection, true);
	return event_add(&connection->writable, &limit) == 0 ? MORTISE_OK : MORTISE_BUSY;
}

static void connection_send(struct connection *connection, const uint8_t *frame, size_t size)
{
	ssize_t sent = send(connection->descriptor, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent == (ssize_t)size)
		return;
	if (sent >= 0 || (errno != EAGAIN && errno != EINTR) ||
		keep(connection, frame, size) != MORTISE_OK)
		connection_close(connection);
}

/* ---- a turn: frames, then their lines in the log, then their answers ---- */

/* What became of a turn's changes and lines. */
struct ending {
	enum mortise_status status;
	const char *text; /* what every client of the turn is told, if that is not MORTISE_OK */
};

static void refuse(const struct answer *answer, const struct ending *ending)
{
	uint8_t frame[256];
	size_t size = refusal_write(
		answer->request_id, ending->status, ending->text, frame, sizeof frame);

	connection_send(answer->connection, frame, size);
}

static void deliver(struct server *server, const struct answer *answer, const struct ending *ending)
{
	struct connection *connection = answer->connection;

	if (!connection->is_closing && ending->status == MORTISE_OK)
		connection_send(connection, server->arena->bytes + answer->offset, answer->size);
	else if (!connection->is_closing)
		refuse(answer, ending);
	connection->answers--;
	if (connection->is_closing || connection->is_refused)
		connection_close(connection);
}

/* The same, and the time since began_us is charged to who asked. */
static uint64_t deliver_at_cost(struct server *server, const struct answer *answer,
	const struct ending *ending, uint64_t began_us)
{
	struct connection *connection = answer->connection;

	connection->answers++;
	deliver(server, answer, ending);
	uint64_t ended_us = clock_steady_us();
	crowd_charge_place(server->crowd, &connection->place, ended_us - began_us);
	if (--connection->answers == 0 && connection->is_closing)
		connection_close(connection);
	return ended_us;
}

/* What waited for the disk is paid for by all for whom it was. */
static void share_cost(struct server *server, size_t count, uint64_t elapsed_us)
{
	for (size_t i = 0; i < count; i++)
		crowd_charge_place(
			server->crowd, &server->answers[i].connection->place, elapsed_us / count);
}

/* What is not on the disk and on record is not released. */
static struct ending end_turn(struct server *server)
{
	size_t count = server->answer_count;
	uint64_t began_us = clock_steady_us();
	struct ending ending = {MORTISE_OK, ""};

	ending.status = turn_end(server->agent, &ending.text);
	uint64_t now_us = clock_steady_us();
	share_cost(server, count, now_us - began_us);
	server->answer_count = 0;
	for (size_t i = 0; i < count; i++)
		now_us = deliver_at_cost(server, &server->answers[i], &ending, now_us);
	sodium_memzero(server->arena->bytes, server->arena_used);
	server->arena_used = 0;
	if (server->agent->turn_ended)
		server->agent->turn_ended(server->agent->credentials, ending.status == MORTISE_OK);
	server->ending_us += now_us - began_us;
	return ending;
}

void server_end_turn(struct server *server)
{
	(void)end_turn(server);
}

/* An answer's line is older than the answer: where the turn is cut, it stands before the cut. */
static void server_add_answer(struct server *server, struct connection *connection,
	uint32_t request_id, const uint8_t *frame, size_t size)
{
	bool is_full = server->answer_count == TURN_ANSWERS ||
		       server->arena_used + size > server->arena->size;
	struct answer answer = {connection, request_id, 0, size};

	connection->answers++;
	if (is_full) {
		struct ending ending = end_turn(server);
		if (ending.status != MORTISE_OK) {
			deliver(server, &answer, &ending);
			return;
		}
	}
	answer.offset = server->arena_used;
	memcpy(server->arena->bytes + answer.offset, frame, size);
	server->arena_used += size;
	server->answers[server->answer_count++] = answer;
}

/* ---- frames ---- */

/*
 * Reads one frame. Its size; 0 at the end; -1 with errno EAGAIN; -1 with another errno for
 * what ends the connection. *out_sender points into the control buffer or is NULL.
 */
static ssize_t receive(struct connection *connection, struct ucred *sender, bool *out_has_sender)
{
	struct secret *frame = connection->server->frame;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = {frame->bytes, frame->size};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t size = recvmsg(connection->descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*out_has_sender = false;
	if (size <= 0)
		return size;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS &&
		header->cmsg_len == CMSG_LEN(sizeof *sender)) {
		memcpy(sender, CMSG_DATA(header), sizeof *sender);
		*out_has_sender = true;
	}
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		sodium_memzero(frame->bytes, (size_t)size);
		errno = EMSGSIZE;
		return -1;
	}
	return size;
}

static void refuse_without_pidfd(struct connection *connection, uint32_t request_id)
{
	struct server *server = connection->server;
	struct secret *scratch = server->scratch;

	request_record_unknown(server->agent, connection->descriptor, NULL);
	size_t size =
		refusal_write(request_id, MORTISE_DENIED, NO_PIDFD, scratch->bytes, scratch->size);
	server_add_answer(server, connection, request_id, scratch->bytes, size);
}

/*
 * On a kernel that cannot name the connector by itself, the first frame only starts the proof.
 * A challenge tells nothing and has no line: it leaves at once, so that lines of others which
 * cannot be written do not take its place.
 */
static enum mortise_status greet(struct connection *connection, uint32_t request_id)
{
	struct secret *scratch = connection->server->scratch;
	struct caller *caller = &connection->requester.caller;
	struct wire_writer writer;

	if (connection->server->agent->requires_pidfd) {
		refuse_without_pidfd(connection, request_id);
		return MORTISE_OK;
	}
	TRY(caller_greet(caller));
	wire_begin(&writer, scratch->bytes, scratch->size, WIRE_GREET, request_id);
	wire_put(&writer, WIRE_TAG_CHALLENGE, caller->challenge, sizeof caller->challenge);
	connection_send(connection, scratch->bytes, wire_finish(&writer));
	return MORTISE_OK;
}

/* A caller that cannot be known may know that much: it would try again for ever otherwise. */
static enum mortise_status refuse_unknown(
	struct connection *connection, const struct wire_message *message)
{
	struct server *server = connection->server;
	struct secret *scratch = server->scratch;
	bool is_put_off = connection->requester.caller.trouble != NULL;
	size_t size = refusal_write(message->request_id, is_put_off ? MORTISE_BUSY : MORTISE_DENIED,
		is_put_off ? NOT_NOW : NEVER, scratch->bytes, scratch->size);

	request_record_unknown(server->agent, connection->descriptor, NULL);
	stop_reading(connection, false);
	server_add_answer(server, connection, message->request_id, scratch->bytes, size);
	return MORTISE_OK;
}

/* Anything but MORTISE_OK: the connection is to be closed. */
static enum mortise_status handle(struct connection *connection, const struct wire_message *message)
{
	struct server *server = connection->server;
	struct secret *scratch = server->scratch;
	size_t size = 0;

	if (!connection->is_refused)
		connection->is_refused =
			caller_confirm(&connection->requester.caller) != MORTISE_OK;
	if (connection->is_refused)
		return refuse_unknown(connection, message);
	if (!connection->requester.caller.is_pinned && message->code != WIRE_HELLO)
		return greet(connection, message->request_id);
	if (turn_must_end(server->agent, message->code))
		(void)end_turn(server);
	if (connection->is_closing)
		return MORTISE_BUSY;
	size = request_handle(
		server->agent, &connection->requester, message, scratch->bytes, scratch->size);
	if (size)
		server_add_answer(server, connection, message->request_id, scratch->bytes, size);
	else if (connection->requester.pending)
		stop_reading(connection, true);
	sodium_memzero(scratch->bytes, size);
	return MORTISE_OK;
}

/* What had to be known first is known now, or can't be: the frame is still where it was. */
static void on_told(void *context)
{
	struct connection *connection = context;

	connection->place.is_busy = false;
	if (event_add(&connection->readable, NULL) != 0)
		connection_close(connection);
}

static bool has_to_wait_for_look(struct connection *connection)
{
	struct agent *agent = connection->server->agent;
	struct requester *requester = &connection->requester;

	if (connection->has_waited_for_look)
		return false;
	connection->has_waited_for_look = true;
	return evidence_await_look(agent->evidence, &requester->caller,
		request_needs(agent, requester), on_told, connection);
}

/* What the frame that was heard of asks for; 0: not to be had, as with one that is none. */
static uint16_t next_opcode(const struct connection *connection)
{
	uint8_t header[WIRE_HEADER_SIZE];
	ssize_t size = recv(connection->descriptor, header, sizeof header, MSG_PEEK | MSG_DONTWAIT);

	return size == sizeof header ? wire_code(header) : 0;
}

static bool has_to_wait_for_exe(struct connection *connection)
{
	struct agent *agent = connection->server->agent;
	struct requester *requester = &connection->requester;

	if (connection->has_waited_for_exe || !requester->caller.is_pinned ||
		requester->caller.owes_ids ||
		!evidence_may_await_exe(agent->evidence, &requester->caller) ||
		!request_wants_exe(agent, requester, next_opcode(connection)))
		return false;
	connection->has_waited_for_exe = true;
	return evidence_await_exe(agent->evidence, &requester->caller, on_told, connection);
}

/* Has something to be known before the frame that was heard of is read? */
static bool is_early(struct connection *connection)
{
	if (connection->is_refused || !evidence_is_wanting(connection->server->agent->evidence,
					      &connection->requester.caller))
		return false;
	if (!has_to_wait_for_look(connection) && !has_to_wait_for_exe(connection))
		return false;
	stop_reading(connection, true);
	return true;
}

/* What is no frame says nothing that could be answered. */
static void record_malformed(struct connection *connection, const char *what)
{
	request_record_refused(connection->server->agent,
		&(struct refused){connection->descriptor, NULL, MORTISE_INVALID, what});
}

static void connection_take_frame(struct connection *connection)
{
	struct secret *frame = connection->server->frame;
	struct caller *caller = &connection->requester.caller;
	struct wire_message message;
	struct ucred sender;
	bool has_sender = false;

	/* It may not have been listened to while it stood in line. */
	if (event_add(&connection->readable, NULL) != 0) {
		connection_close(connection);
		return;
	}
	if (is_early(connection))
		return;
	ssize_t size = receive(connection, &sender, &has_sender);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		if (size < 0 && errno == EMSGSIZE)
			record_malformed(connection, "a message too large, or with descriptors");
		connection_close(connection);
		return;
	}
	connection->has_waited_for_look = connection->has_waited_for_exe = false;
	connection->answers++; /* held: what is handled may close it */
	bool known = connection->is_refused ||
		     caller_check_sender(caller, has_sender ? &sender : NULL) == MORTISE_OK;
	if (!known && has_sender)
		request_record_unknown(connection->server->agent, connection->descriptor, &sender);
	bool is_frame = known && wire_parse(frame->bytes, (size_t)size, &message) == MORTISE_OK;
	if (known && !is_frame)
		record_malformed(connection, "a malformed frame");
	bool good = is_frame && handle(connection, &message) == MORTISE_OK;
	sodium_memzero(frame->bytes, (size_t)size);
	connection->answers--;
	if (!good || connection->is_closing)
		connection_close(connection);
}

/* Thousands that stand in line are not to be named again at each turn; a few may be. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;

	(void)fd;
	(void)what;
	if (connection->place.is_in_line && connection->server->count > FEW)
		event_del(&connection->readable);
	crowd_stand_in_line(connection->server->crowd, &connection->place);
}

bool server_take_turn(struct server *server)
{
	uint64_t began_us = clock_steady_us(), now_us = began_us;
	struct place *place;

	while (now_us - began_us < TURN_US && (place = crowd_next(server->crowd, now_us))) {
		/* Whoever comes when a turn has to end does not pay for those of whom it was. */
		uint64_t ending_us = server->ending_us;
		connection_take_frame(place->owner);
		uint64_t ended_us = clock_steady_us();
		crowd_charge(server->crowd, ended_us - now_us - (server->ending_us - ending_us));
		now_us = ended_us;
	}
	return crowd_is_waiting(server->crowd);
}

/* ---- who connects ---- */

/* Is there a place for it, or one that another gives up? */
static bool has_place(struct server *server, uint32_t uid, bool is_operator)
{
	if (server->count < server->maximum)
		return true;
	struct place *place = crowd_yield(server->crowd, uid, is_operator);
	if (place)
		connection_close(place->owner);
	return place != NULL;
}

static uint32_t uid_of(int descriptor)
{
	struct ucred peer = {.uid = UINT32_MAX};
	socklen_t size = sizeof peer;

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return UINT32_MAX;
	return peer.uid;
}

/* A connection without a place, and with no descriptor of its own yet. */
static struct connection *connection_new(
	struct server *server, int descriptor, const struct entrance *entrance)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection)
		return NULL;
	struct caller *caller = &connection->requester.caller;
	enum mortise_status known = caller_identify(descriptor, caller);
	if (known == MORTISE_DENIED) {
		connection->is_refused = true;
		*caller = (struct caller){
			.subject.uid = uid_of(descriptor), .pidfd = -1}; /* counts as that uid's */
	} else if (known != MORTISE_OK) {
		free(connection);
		return NULL;
	}
	connection->requester.at_outlet = connection;
	connection->place.owner = connection;
	connection->requester.entrance = entrance;
	caller->subject.socket = (struct fact){FACT_KNOWN, entrance->name};
	connection->server = server;
	return connection;
}

static void link_connection(struct connection *connection)
{
	struct server *server = connection->server;

	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->count++;
}

static void connection_open(struct server *server, int descriptor, const struct entrance *entrance)
{
	uint64_t began_us = clock_steady_us();
	struct connection *connection = connection_new(server, descriptor, entrance);
	uint32_t uid = connection ? connection->requester.caller.subject.uid : UINT32_MAX;
	bool is_operator = connection && !connection->is_refused &&
			   requester_is_operator(server->agent, &connection->requester);

	if (!connection || !has_place(server, uid, is_operator) ||
		crowd_join(server->crowd, &connection->place, uid, is_operator, began_us) !=
			MORTISE_OK) {
		request_record_refused(server->agent,
			&(struct refused){descriptor, NULL, MORTISE_BUSY, "no room for it"});
		if (connection)
			requester_done(&connection->requester);
		free(connection);
		close(descriptor);
		return;
	}
	connection->descriptor = descriptor;
	link_connection(connection);
	(void)event_assign(&connection->readable, server->base, descriptor, EV_READ | EV_PERSIST,
		on_readable, connection);
	(void)event_assign(
		&connection->writable, server->base, descriptor, EV_WRITE, on_writable, connection);
	crowd_charge_place(server->crowd, &connection->place, clock_steady_us() - began_us);
	if (event_add(&connection->readable, NULL) != 0)
		connection_close(connection);
}

/* Out of descriptors: takes one connection with the spare and closes it, so that it knows. */
static void shed(struct server *server, int listener)
{
	if (server->spare < 0)
		return;
	close(server->spare);
	int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (descriptor >= 0)
		close(descriptor);
	server->spare = dup(listener);
}

static void on_arrival(evutil_socket_t listener, short what, void *context)
{
	const struct doorway *doorway = context;
	struct server *server = doorway->server;

	(void)what;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (descriptor < 0 && (errno == EMFILE || errno == ENFILE))
			shed(server, listener);
		if (descriptor < 0)
			return;
		connection_open(server, descriptor, &doorway->entrance);
	}
}

/* ---- the server ---- */

/*
 * Answers a request that was pending; frames are read again. It may be called while another
 * connection's answer is in the scratch, so it has room of its own.
 */
static void answer_pending(void *context, struct requester *to,
	size_t (*build)(struct wire_writer *reply, void *context), void *build_context)
{
	struct server *server = context;
	struct connection *connection = to->at_outlet;
	CLEANUP(secret_drop) struct secret *room = NULL;
	struct wire_message answer;

	if (secret_new(WIRE_FRAME_MAX, &room) != MORTISE_OK) {
		connection_close(connection);
		return;
	}
	struct wire_writer writer = {.bytes = room->bytes, .capacity = room->size};
	size_t size = build(&writer, build_context);
	if (wire_parse(room->bytes, size, &answer) != MORTISE_OK ||
		(!connection->blocked && event_add(&connection->readable, NULL) != 0)) {
		connection_close(connection);
		return;
	}
	connection->place.is_busy = connection->blocked;
	server_add_answer(server, connection, answer.request_id, room->bytes, size);
}

static size_t count_connections(void *context)
{
	const struct server *server = context;

	return server->count;
}

static bool is_waiting(void *context, const struct requester *from)
{
	const struct connection *connection = from->at_outlet;
	struct pollfd end = {.fd = connection->descriptor, .events = POLLRDHUP};

	(void)context;
	return poll(&end, 1, 0) == 0;
}

static void forget_unread(void *context)
{
	struct server *server = context;
	struct connection *next;

	server_end_turn(server);
	for (struct connection *at = server->connections; at; at = next) {
		next = at->next;
		if (at->blocked)
			connection_close(at);
	}
}

static const struct entrance *find_entrance(void *context, const char *name)
{
	const struct server *server = context;

	for (size_t i = 0; i < server->listener_count; i++)
		if (strcmp(server->listeners[i].entrance.name, name) == 0)
			return &server->listeners[i].entrance;
	return NULL;
}

enum mortise_status server_new(struct event_base *base, struct agent *agent,
	unsigned connections_max, struct server **out_server)
{
	struct server *server = calloc(1, sizeof *server);

	if (!server)
		return MORTISE_BUSY;
	server->base = base;
	server->agent = agent;
	server->maximum = connections_max;
	server->spare = -1;
	enum mortise_status status = crowd_new(&server->crowd);
	if (status == MORTISE_OK)
		status = secret_new(WIRE_FRAME_MAX, &server->frame);
	if (status == MORTISE_OK)
		status = secret_new(WIRE_FRAME_MAX, &server->scratch);
	if (status == MORTISE_OK)
		status = secret_new(ARENA_BYTES, &server->arena);
	if (status != MORTISE_OK) {
		server_free(server);
		return status;
	}
	agent->has_turns = true;
	agent->outlet = (struct outlet){
		.context = server,
		.connections = count_connections,
		.is_waiting = is_waiting,
		.find_entrance = find_entrance,
		.forget_unread = forget_unread,
		.answer = answer_pending,
	};
	*out_server = server;
	return MORTISE_OK;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	while (server->connections)
		connection_close(server->connections);
	for (size_t i = 0; i < server->listener_count; i++) {
		close(event_get_fd(server->listeners[i].event));
		event_free(server->listeners[i].event);
	}
	if (server->spare >= 0)
		close(server->spare);
	secret_drop(&server->frame);
	secret_drop(&server->scratch);
	secret_drop(&server->arena);
	crowd_free(server->crowd);
	free(server);
}

enum mortise_status server_listen(
	struct server *server, int descriptor, const struct entrance *entrance)
{
	if (server->listener_count == PROCESS_LISTENERS_MAX)
		return MORTISE_INVALID;
	struct doorway *doorway = &server->listeners[server->listener_count];
	struct event *event =
		event_new(server->base, descriptor, EV_READ | EV_PERSIST, on_arrival, doorway);
	if (!event || event_add(event, NULL) != 0) {
		if (event)
			event_free(event);
		return MORTISE_BUSY;
	}
	*doorway = (struct doorway){server, event, *entrance};
	server->listener_count++;
	if (server->spare < 0)
		server->spare = dup(descriptor);
	return MORTISE_OK;
}
