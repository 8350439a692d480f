/* SPDX-License-Identifier: ISC */
#include "witness_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "monitor_link.h"
#include "processes.h"
#include "wire.h"

#define FRAME_MAX    8192
#define HOLDS_MAX    64
#define TRIES_MAX    2 /* a witness that ends may have ended for a question's sake */
#define FAILURES     4 /* in a row; then nobody waits for the next witness */
#define LOG_EVERY_MS 60000

struct witness_timing witness_usual_timing = {
	.seats = PROCESS_WITNESSES,
	.patience_ms = 250,
	.hold_first_ms = 30000,
	.hold_max_ms = 600000,
	.rest_first_ms = 100,
	.rest_max_ms = 60000,
};

static const char no_witness[] = "no witness can be started",
		  was_late[] = "the witness did not answer in time about a process of this user",
		  has_ended[] = "the witness ended when it was asked about a process of this user",
		  is_held[] = "the witness was late about this user's processes";

/* A uid that is not asked about; for as long again it is remembered that it was. */
struct hold {
	uint64_t until_ms;
	uint32_t uid, length_ms; /* 0: free */
};

enum state {
	ABSENT,    /* asked for again when the timer says so */
	ASKED_FOR, /* of the monitor */
	READY,
};

/* One witness, or the want of one. */
struct seat {
	struct witness_link *link;
	enum state state;
	int descriptor; /* -1: none */
	struct event *readable, *timer;
	struct witness_question *current; /* that it was asked; NULL: forgotten */
	bool is_asked;                    /* an answer is to come */
	uint32_t asked_pid, asked_uid, last_id;
	unsigned failures; /* witnesses in a row that ended or could not be started */
};

struct witness_link {
	struct event_base *base;
	struct monitor_link *monitor;
	const struct witness_timing *timing;
	struct seat seats[PROCESS_WITNESSES];
	struct witness_question *first, *last; /* that wait; the current ones, too */
	uint32_t last_uid;
	uint64_t turn;
	uint64_t logged_ms; /* 0: never */
	struct hold holds[HOLDS_MAX];
	struct witness_report report;
};

static uint64_t now_ms(void)
{
	return clock_steady_us() / 1000;
}

/* ---- uids that are not asked about ---- */

static struct hold *find_hold(struct witness_link *link, uint32_t uid)
{
	for (size_t i = 0; i < HOLDS_MAX; i++)
		if (link->holds[i].length_ms && link->holds[i].uid == uid)
			return &link->holds[i];
	return NULL;
}

static struct hold *find_eldest_hold(struct witness_link *link)
{
	struct hold *eldest = &link->holds[0];

	for (size_t i = 1; i < HOLDS_MAX; i++)
		if (link->holds[i].until_ms < eldest->until_ms)
			eldest = &link->holds[i];
	return eldest;
}

static void hold(struct witness_link *link, uint32_t uid)
{
	struct hold *place = find_hold(link, uid);
	uint64_t now = now_ms();
	uint32_t length = (uint32_t)link->timing->hold_first_ms;

	if (place && now < place->until_ms + place->length_ms) {
		length = place->length_ms * 2;
		if (length > (uint32_t)link->timing->hold_max_ms)
			length = (uint32_t)link->timing->hold_max_ms;
	}
	if (!place)
		place = find_eldest_hold(link);
	*place = (struct hold){now + length, uid, length};
}

static bool is_holding(struct witness_link *link, uint32_t uid)
{
	const struct hold *place = find_hold(link, uid);

	return place && now_ms() < place->until_ms;
}

/* ---- questions that wait ---- */

static void enqueue(struct witness_link *link, struct witness_question *question)
{
	question->turn = question->uid == link->last_uid ? link->turn : 0;
	for (const struct witness_question *at = link->first; at; at = at->next)
		if (at->uid == question->uid)
			question->turn = at->turn;
	question->link = link;
	question->next = NULL;
	question->previous = link->last;
	if (link->last)
		link->last->next = question;
	else
		link->first = question;
	link->last = question;
}

static void dequeue(struct witness_question *question)
{
	struct witness_link *link = question->link;

	if (question->previous)
		question->previous->next = question->next;
	else
		link->first = question->next;
	if (question->next)
		question->next->previous = question->previous;
	else
		link->last = question->previous;
	for (size_t i = 0; i < PROCESS_WITNESSES; i++)
		if (link->seats[i].current == question)
			link->seats[i].current = NULL;
	question->link = NULL;
	question->previous = question->next = NULL;
}

static bool is_asked_about(const struct witness_link *link, uint32_t uid)
{
	for (size_t i = 0; i < PROCESS_WITNESSES; i++)
		if (link->seats[i].is_asked && link->seats[i].asked_uid == uid)
			return true;
	return false;
}

/*
 * Of the uids the one whose turn is longest ago; of its questions the eldest. One that a witness is
 * asked about just now has no other: so nobody keeps two of them waiting.
 */
static struct witness_question *pick(struct witness_link *link)
{
	struct witness_question *best = NULL;

	for (struct witness_question *at = link->first; at; at = at->next)
		if ((!best || at->turn < best->turn) && !is_asked_about(link, at->uid))
			best = at;
	if (!best)
		return NULL;
	link->turn++;
	link->last_uid = best->uid;
	for (struct witness_question *at = link->first; at; at = at->next)
		if (at->uid == best->uid)
			at->turn = link->turn;
	return best;
}

static void tell(struct witness_question *question, const char *path, const char *trouble)
{
	dequeue(question);
	question->answered(question->context, path, trouble);
}

/* Who is told may ask again, and waits behind these. */
static void tell_all(struct witness_link *link, const char *trouble)
{
	const struct witness_question *last = link->last;
	bool was_last = !last;

	while (!was_last && link->first) {
		was_last = link->first == last;
		tell(link->first, NULL, trouble);
	}
}

/* Who is told may ask again, but no more about this uid; and may end others that wait. */
static void hold_and_tell(struct witness_link *link, uint32_t uid, const char *trouble)
{
	struct witness_question *at = link->first;

	hold(link, uid);
	while (at) {
		bool is_theirs = at->uid == uid;

		if (is_theirs)
			tell(at, NULL, trouble);
		at = is_theirs ? link->first : at->next;
	}
}

/* ---- witnesses ---- */

static void set_timer(struct seat *seat, int timeout_ms)
{
	const struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

	(void)event_add(seat->timer, &timeout);
}

/* Who was asked about waits for another one, unless it is told before. */
static void vacate(struct seat *seat)
{
	seat->current = NULL;
	seat->is_asked = false;
	seat->link->report.replaced_us = clock_now().wall_us;
	if (seat->readable)
		event_free(seat->readable);
	seat->readable = NULL;
	if (seat->descriptor >= 0)
		close(seat->descriptor);
	seat->descriptor = -1;
	seat->state = ABSENT;
	event_del(seat->timer);
}

static bool is_one_ready(const struct witness_link *link)
{
	for (unsigned i = 0; i < link->timing->seats; i++)
		if (link->seats[i].state == READY)
			return true;
	return false;
}

/* Is there none, and is there soon to be none? */
static bool is_hopeless(const struct witness_link *link)
{
	for (unsigned i = 0; i < link->timing->seats; i++)
		if (link->seats[i].state != ABSENT || link->seats[i].failures < FAILURES)
			return false;
	return true;
}

static void rest(struct seat *seat)
{
	const struct witness_timing *timing = seat->link->timing;
	int pause_ms = timing->rest_first_ms, most_ms = timing->rest_max_ms;

	for (unsigned i = 1; i < seat->failures && pause_ms < most_ms; i++)
		pause_ms *= 2;
	seat->state = ABSENT;
	set_timer(seat, pause_ms < most_ms ? pause_ms : most_ms);
	if (is_hopeless(seat->link))
		tell_all(seat->link, no_witness);
}

static void on_fetched(void *context, const struct wire_message *answer, int descriptor);

static void fetch(struct seat *seat)
{
	struct witness_link *link = seat->link;
	struct wire_writer *writer = monitor_begin(link->monitor, PROCESS_WITNESS);

	wire_put_number(writer, PROCESS_TAG_NUMBER, (uint64_t)(seat - link->seats));
	if (monitor_ask(link->monitor, 0, on_fetched, seat) != MORTISE_OK) {
		seat->failures++;
		rest(seat);
		return;
	}
	seat->state = ASKED_FOR;
	set_timer(seat, link->timing->patience_ms);
}

static void proceed(struct witness_link *link);

/* It ended, or it says what it was not asked. */
static void lose(struct seat *seat)
{
	struct witness_link *link = seat->link;
	struct witness_question *current = seat->current;

	link->report.ended++;
	seat->failures++;
	vacate(seat);
	if (current && ++current->tries >= TRIES_MAX)
		hold_and_tell(link, current->uid, has_ended);
	rest(seat);
	proceed(link);
}

static void log_late(struct witness_link *link, const struct seat *seat)
{
	uint64_t now = now_ms();

	if (link->logged_ms && now - link->logged_ms < LOG_EVERY_MS)
		return;
	link->logged_ms = now;
	log_warning("the witness could not look at pid %u of uid %u within %d ms, and is "
		    "replaced; see what that user runs",
		seat->asked_pid, seat->asked_uid, link->timing->patience_ms);
}

static void on_late(struct seat *seat)
{
	struct witness_link *link = seat->link;

	link->report.late++;
	link->report.late_pid = seat->asked_pid;
	link->report.late_uid = seat->asked_uid;
	log_late(link, seat);
	vacate(seat);
	hold_and_tell(link, seat->asked_uid, was_late);
	fetch(seat);
	proceed(link);
}

static enum mortise_status send_question(struct seat *seat, const struct witness_question *question)
{
	uint8_t frame[64];
	struct wire_writer writer;

	wire_begin(&writer, frame, sizeof frame, question->opcode, ++seat->last_id);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, question->pid);
	size_t size = wire_finish(&writer);
	if (send(seat->descriptor, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		return MORTISE_UNREACHABLE;
	seat->is_asked = true;
	seat->asked_pid = question->pid;
	seat->asked_uid = question->uid;
	return MORTISE_OK;
}

static struct seat *find_idle(struct witness_link *link)
{
	for (unsigned i = 0; i < link->timing->seats; i++)
		if (link->seats[i].state == READY && !link->seats[i].is_asked)
			return &link->seats[i];
	return NULL;
}

static void proceed(struct witness_link *link)
{
	struct seat *seat;

	while ((seat = find_idle(link)) && (seat->current = pick(link))) {
		if (send_question(seat, seat->current) != MORTISE_OK) {
			lose(seat);
			return;
		}
		set_timer(seat, link->timing->patience_ms);
	}
}

static void take_answer(struct seat *seat, const struct wire_message *answer)
{
	char path[WITNESS_PATH_SIZE];
	bool is_found = answer->code == MORTISE_OK &&
			wire_text(answer, PROCESS_TAG_TEXT, path, sizeof path) == MORTISE_OK &&
			path[0] == '/';
	struct witness_question *current = seat->current;

	event_del(seat->timer);
	seat->is_asked = false;
	seat->failures = 0;
	if (current)
		tell(current, is_found ? path : NULL, NULL);
	proceed(seat->link);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct seat *seat = context;
	uint8_t frame[FRAME_MAX];
	struct wire_message answer;
	ssize_t size = recv(fd, frame, sizeof frame, MSG_DONTWAIT | MSG_TRUNC);

	(void)what;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0 || (size_t)size > sizeof frame ||
		wire_parse(frame, (size_t)size, &answer) != MORTISE_OK || !seat->is_asked ||
		answer.request_id != seat->last_id)
		lose(seat);
	else
		take_answer(seat, &answer);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct seat *seat = context;

	(void)fd;
	(void)what;
	if (seat->state == READY) {
		on_late(seat);
	} else if (seat->state == ABSENT) {
		fetch(seat);
	} else { /* the monitor's answer is still welcome */
		set_timer(seat, seat->link->timing->patience_ms);
		if (!is_one_ready(seat->link))
			tell_all(seat->link, no_witness);
	}
}

/* The monitor's answer; NULL if it is gone, and then so is the keeper. */
static void on_fetched(void *context, const struct wire_message *answer, int descriptor)
{
	struct seat *seat = context;

	event_del(seat->timer);
	if (!answer)
		return;
	if (answer->code == MORTISE_OK && descriptor >= 0)
		seat->readable = event_new(
			seat->link->base, descriptor, EV_READ | EV_PERSIST, on_readable, seat);
	if (!seat->readable || event_add(seat->readable, NULL) != 0) {
		if (seat->readable)
			event_free(seat->readable);
		seat->readable = NULL;
		if (descriptor >= 0)
			close(descriptor);
		seat->failures++;
		rest(seat);
		return;
	}
	seat->descriptor = descriptor;
	seat->state = READY;
	proceed(seat->link);
}

static enum mortise_status prepare(struct witness_link *link)
{
	for (unsigned i = 0; i < PROCESS_WITNESSES; i++) {
		struct seat *seat = &link->seats[i];

		*seat = (struct seat){.link = link, .descriptor = -1};
		seat->timer = evtimer_new(link->base, on_timer, seat);
		if (!seat->timer)
			return MORTISE_BUSY;
	}
	return MORTISE_OK;
}

enum mortise_status witness_link_new(struct event_base *base, struct monitor_link *monitor,
	const struct witness_timing *timing, struct witness_link **out_link)
{
	struct witness_link *link = calloc(1, sizeof *link);

	if (!link)
		return MORTISE_BUSY;
	link->base = base;
	link->monitor = monitor;
	link->timing = timing;
	if (prepare(link) != MORTISE_OK) {
		witness_link_free(link);
		return MORTISE_BUSY;
	}
	for (unsigned i = 0; i < timing->seats; i++)
		fetch(&link->seats[i]);
	*out_link = link;
	return MORTISE_OK;
}

void witness_link_free(struct witness_link *link)
{
	if (!link)
		return;
	while (link->first)
		dequeue(link->first);
	for (unsigned i = 0; i < PROCESS_WITNESSES; i++) {
		if (!link->seats[i].timer)
			continue;
		vacate(&link->seats[i]);
		event_free(link->seats[i].timer);
	}
	free(link);
}

enum mortise_status witness_ask(
	struct witness_link *link, struct witness_question *question, const char **out_trouble)
{
	if (is_holding(link, question->uid)) {
		*out_trouble = is_held;
		return MORTISE_BUSY;
	}
	if (is_hopeless(link)) {
		*out_trouble = no_witness;
		return MORTISE_BUSY;
	}
	enqueue(link, question);
	proceed(link);
	return MORTISE_OK;
}

void witness_forget(struct witness_question *question)
{
	if (question->link)
		dequeue(question);
}

struct witness_report witness_report(const struct witness_link *link)
{
	struct witness_report report = link->report;

	report.is_wanted = true;
	report.is_there = is_one_ready(link);
	return report;
}
