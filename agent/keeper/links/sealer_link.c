/* SPDX-License-Identifier: ISC */
#include "sealer_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "processes.h"

#define FRAME_MAX     8192
#define EXPECTED_TAGS 4 /* with the 0 behind them */

/* What a sealer is asked. */
struct asked {
	bool is_anchor;
	uint32_t id;
	struct secret *request; /* until it is sent */
	size_t size;
	uint16_t expected[EXPECTED_TAGS]; /* the fields of a right answer to it; ends with 0 */
	sealer_done *done;                /* NULL: nothing is asked */
	void *context;
};

struct sealer_link {
	struct event_base *base;
	struct monitor_link *monitor;
	int descriptor; /* -1: no sealer */
	struct event *readable;
	struct asked now;
	struct asked next; /* while an anchor is under way, which nobody asked for */
	uint32_t request_id;
	int overdue_ms; /* a sealer that ends later than this has hung and was killed for it */
	struct timespec started;
};

static int64_t taken_ms(const struct sealer_link *link)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)(now.tv_sec - link->started.tv_sec) * 1000 +
	       (now.tv_nsec - link->started.tv_nsec) / 1000000;
}

static bool has_hung(const struct sealer_link *link)
{
	return taken_ms(link) >= link->overdue_ms;
}

static void hang_up(struct sealer_link *link)
{
	if (link->readable)
		event_free(link->readable);
	link->readable = NULL;
	if (link->descriptor >= 0)
		close(link->descriptor);
	link->descriptor = -1;
}

/* Its deadline is for all that it is asked, and a large store takes long to read. */
static void let_go_when_late(struct sealer_link *link)
{
	if (taken_ms(link) >= link->overdue_ms / 2)
		hang_up(link);
}

static void drop(struct asked *asked)
{
	secret_drop(&asked->request);
	*asked = (struct asked){.done = NULL};
}

static void launch_next(struct sealer_link *link);

/* Ends the operation and tells whoever asked; a sealer of whom nothing more is asked may go. */
static void finish(struct sealer_link *link, struct sealer_answer *answer)
{
	sealer_done *done = link->now.done;
	void *context = link->now.context;

	if (answer->status != MORTISE_OK)
		hang_up(link);
	drop(&link->now);
	done(context, answer);
	secret_drop(&answer->h);
	if (link->now.done)
		return;
	hang_up(link);
	launch_next(link);
}

static void fail(struct sealer_link *link, enum token_fault fault)
{
	struct sealer_answer answer = {.status = MORTISE_HARDWARE, .fault = fault};

	finish(link, &answer);
}

/* For want of memory here; of the hardware nothing is known. */
static void fail_unsent(struct sealer_link *link)
{
	struct sealer_answer answer = {.status = MORTISE_BUSY, .is_unsent = true};

	finish(link, &answer);
}

/* The detail is shown to people: only printable ASCII of it. */
static void copy_detail(const struct wire_message *message, char *out_detail, size_t size)
{
	const struct wire_field *text = wire_field_of(message, PROCESS_TAG_TEXT);
	size_t length = 0;

	for (size_t i = 0; i < text->size && length + 1 < size; i++)
		if (text->bytes[i] >= ' ' && text->bytes[i] < 127)
			out_detail[length++] = (char)text->bytes[i];
	out_detail[length] = '\0';
}

static void read_failure(const struct wire_message *message, struct sealer_answer *answer)
{
	uint64_t fault = 0;

	answer->status = MORTISE_HARDWARE;
	if (message->code != MORTISE_HARDWARE ||
		wire_number(message, PROCESS_TAG_FAULT, &fault) != MORTISE_OK ||
		fault == TOKEN_FAULT_NONE || fault >= TOKEN_FAULT_COUNT)
		fault = TOKEN_FAULT_OTHER;
	answer->fault = (enum token_fault)fault;
	copy_detail(message, answer->detail, sizeof answer->detail);
}

static enum mortise_status read_health(
	const struct wire_message *message, struct token_health *out_health)
{
	const struct wire_field *ids = wire_field_of(message, PROCESS_TAG_IDS);
	uint32_t numbers[HEALTH_IDS] = {0};
	uint64_t flags = 0;

	TRY(wire_number(message, PROCESS_TAG_NUMBER, &flags));
	if (flags > TOKEN_HEALTH_FLAGS || ids->size != sizeof numbers)
		return MORTISE_INVALID;
	for (size_t i = 0; i < sizeof numbers; i++)
		numbers[i / 4] |= (uint32_t)ids->bytes[i] << i % 4 * 8;
	*out_health = (struct token_health){
		.flags = (unsigned)flags,
		.tries_failed = numbers[HEALTH_TRIES_FAILED],
		.tries_max = numbers[HEALTH_TRIES_MAX],
		.back_s = numbers[HEALTH_BACK_S],
		.idle_pcrs = numbers[HEALTH_IDLE_PCRS],
	};
	return MORTISE_OK;
}

/* It is kept with the slot, and shown to people. */
static bool is_uri(const struct wire_field *field)
{
	if (field->size < 7 || field->size > TOKEN_URI_MAX ||
		memcmp(field->bytes, "pkcs11:", 7) != 0)
		return false;
	for (size_t i = 0; i < field->size; i++)
		if (field->bytes[i] <= ' ' || field->bytes[i] > '~')
			return false;
	return true;
}

static enum mortise_status read_answer(const struct sealer_link *link,
	const struct wire_message *message, struct sealer_answer *answer)
{
	const struct wire_field *h = wire_field_of(message, PROCESS_TAG_KEY);
	const struct wire_field *blob = wire_field_of(message, PROCESS_TAG_BLOB);
	const struct wire_field *uri = wire_field_of(message, PROCESS_TAG_URI);

	if (message->request_id != link->now.id)
		return MORTISE_INVALID;
	if (message->code != MORTISE_OK) {
		read_failure(message, answer);
		return MORTISE_OK;
	}
	if (!wire_has_fields(message, link->now.expected, NULL) || blob->size > TOKEN_BLOB_MAX ||
		(wire_has(message, PROCESS_TAG_KEY) && h->size != KEY_SIZE) ||
		(wire_has(message, PROCESS_TAG_URI) && !is_uri(uri)))
		return MORTISE_INVALID;
	if (wire_has(message, PROCESS_TAG_COUNTER))
		TRY(wire_number(message, PROCESS_TAG_COUNTER, &answer->counter));
	if (wire_has(message, PROCESS_TAG_IDS))
		TRY(read_health(message, &answer->health));
	if (wire_has(message, PROCESS_TAG_KEY))
		TRY(secret_copy(h->bytes, h->size, &answer->h));
	answer->blob = (struct store_bytes){blob->bytes, blob->size};
	answer->uri = (struct store_bytes){uri->bytes, uri->size};
	answer->status = MORTISE_OK;
	return MORTISE_OK;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct sealer_link *link = context;
	struct sealer_answer answer = {.status = MORTISE_HARDWARE};
	CLEANUP(secret_drop) struct secret *frame = NULL;
	struct wire_message message;

	(void)what;
	/* Nothing is known of what the hardware said; it is ours that memory is short. */
	if (secret_new(FRAME_MAX, &frame) != MORTISE_OK) {
		hang_up(link);
		answer.status = MORTISE_BUSY;
		finish(link, &answer);
		return;
	}
	ssize_t size = recv(fd, frame->bytes, frame->size, MSG_DONTWAIT | MSG_TRUNC);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		fail(link, has_hung(link) ? TOKEN_FAULT_TIMEOUT : TOKEN_FAULT_DIED);
		return;
	}
	enum mortise_status status = MORTISE_INVALID;
	if ((size_t)size <= frame->size &&
		wire_parse(frame->bytes, (size_t)size, &message) == MORTISE_OK)
		status = read_answer(link, &message, &answer);
	if (status == MORTISE_BUSY)
		answer.status = MORTISE_BUSY;
	else if (status != MORTISE_OK) {
		fail(link, TOKEN_FAULT_MALFORMED);
		return;
	}
	finish(link, &answer);
}

static bool send_request(struct sealer_link *link)
{
	size_t size = link->now.size;
	ssize_t sent =
		send(link->descriptor, link->now.request->bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	secret_drop(&link->now.request);
	return sent == (ssize_t)size;
}

static void on_spawned(void *context, const struct wire_message *answer, int descriptor)
{
	struct sealer_link *link = context;

	link->descriptor = descriptor;
	if (!answer || answer->code != MORTISE_OK || descriptor < 0) {
		fail(link, !answer                        ? TOKEN_FAULT_NO_MONITOR
			   : answer->code == MORTISE_BUSY ? TOKEN_FAULT_BUSY
							  : TOKEN_FAULT_DIED);
		return;
	}
	link->readable = event_new(link->base, descriptor, EV_READ | EV_PERSIST, on_readable, link);
	if (!link->readable || event_add(link->readable, NULL) != 0)
		fail_unsent(link);
	else if (!send_request(link))
		fail(link, TOKEN_FAULT_DIED);
}

static enum mortise_status launch(struct sealer_link *link)
{
	let_go_when_late(link);
	if (link->descriptor >= 0)
		return send_request(link) ? MORTISE_OK : MORTISE_BUSY;
	clock_gettime(CLOCK_MONOTONIC, &link->started);
	(void)monitor_begin(link->monitor, PROCESS_SPAWN);
	return monitor_ask(link->monitor, MONITOR_ANSWER_LIMIT_S, on_spawned, link);
}

static void launch_next(struct sealer_link *link)
{
	if (!link->next.done)
		return;
	link->now = link->next;
	link->next = (struct asked){.done = NULL};
	if (launch(link) != MORTISE_OK)
		fail_unsent(link);
}

/* What begin() has made room for: now, or what comes next. */
static struct asked *newest(struct sealer_link *link)
{
	return link->now.done ? &link->next : &link->now;
}

static enum mortise_status start(struct sealer_link *link, struct wire_writer *writer,
	const uint16_t expected[EXPECTED_TAGS], sealer_done *done, void *context)
{
	struct asked *asked = newest(link);

	asked->size = wire_finish(writer);
	memcpy(asked->expected, expected, sizeof asked->expected);
	enum mortise_status status = !asked->size          ? MORTISE_INVALID
				     : asked == &link->now ? launch(link)
							   : MORTISE_OK;
	if (status != MORTISE_OK) {
		drop(asked);
		return status;
	}
	asked->done = done;
	asked->context = context;
	return MORTISE_OK;
}

static enum mortise_status begin(
	struct sealer_link *link, uint16_t code, struct wire_writer *writer)
{
	bool is_anchor = code == SEALER_ANCHOR;

	if (link->now.done && (!link->now.is_anchor || is_anchor || link->next.done))
		return MORTISE_BUSY;
	/* What is sealed or opened is so by a sealer that knows of nothing before. */
	if (!link->now.done && !is_anchor)
		hang_up(link);
	struct asked *asked = newest(link);
	drop(asked);
	TRY(secret_new(FRAME_MAX, &asked->request));
	asked->is_anchor = is_anchor;
	asked->id = ++link->request_id;
	wire_begin(writer, asked->request->bytes, asked->request->size, code, asked->id);
	return MORTISE_OK;
}

/* Fields stand in ascending order of their tags. */
enum mortise_status sealer_enrol(struct sealer_link *link, const char *kind,
	const struct token_wish *wish, sealer_done *done, void *context)
{
	CLEANUP(secret_drop) struct secret *entropy = NULL;
	struct wire_writer writer;

	TRY(secret_random(KEY_SIZE, &entropy));
	TRY(begin(link, SEALER_ENROL, &writer));
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, kind);
	if (wish->pin)
		wire_put(&writer, PROCESS_TAG_PIN, wish->pin->bytes, wish->pin->size);
	if (wish->uri)
		wire_put_text(&writer, PROCESS_TAG_URI, wish->uri);
	if (wish->pcrs)
		wire_put_number(&writer, PROCESS_TAG_PCRS, wish->pcrs);
	wire_put(&writer, PROCESS_TAG_ENTROPY, entropy->bytes, entropy->size);
	if (wish->pcr_key.size)
		wire_put(&writer, PROCESS_TAG_PUBLIC_KEY, wish->pcr_key.bytes, wish->pcr_key.size);
	const uint16_t expected[EXPECTED_TAGS] = {
		PROCESS_TAG_KEY, PROCESS_TAG_BLOB, wish->uri ? PROCESS_TAG_URI : 0};
	return start(link, &writer, expected, done, context);
}

enum mortise_status sealer_open(struct sealer_link *link, const char *kind, struct store_bytes blob,
	const struct secret *pin, sealer_done *done, void *context)
{
	struct wire_writer writer;

	TRY(begin(link, SEALER_OPEN, &writer));
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, kind);
	if (pin)
		wire_put(&writer, PROCESS_TAG_PIN, pin->bytes, pin->size);
	wire_put(&writer, PROCESS_TAG_BLOB, blob.bytes, blob.size);
	const uint16_t expected[EXPECTED_TAGS] = {PROCESS_TAG_KEY};
	return start(link, &writer, expected, done, context);
}

enum mortise_status sealer_anchor(struct sealer_link *link, const char *kind,
	const struct token_anchor *anchor, sealer_done *done, void *context)
{
	bool is_new = anchor->action == TOKEN_ANCHOR_DEFINE;
	struct wire_writer writer;

	TRY(begin(link, SEALER_ANCHOR, &writer));
	wire_put_number(&writer, PROCESS_TAG_NUMBER, anchor->action);
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, kind);
	wire_put(&writer, PROCESS_TAG_KEY, anchor->auth->bytes, anchor->auth->size);
	if (!is_new)
		wire_put(&writer, PROCESS_TAG_BLOB, anchor->place.bytes, anchor->place.size);
	if (anchor->action == TOKEN_ANCHOR_INCREMENT)
		wire_put_number(&writer, PROCESS_TAG_COUNTER, anchor->expected);
	const uint16_t expected[EXPECTED_TAGS] = {
		anchor->action != TOKEN_ANCHOR_REMOVE ? PROCESS_TAG_COUNTER : 0,
		is_new ? PROCESS_TAG_BLOB : 0};
	return start(link, &writer, expected, done, context);
}

enum mortise_status sealer_health(struct sealer_link *link, const char *kind,
	struct store_bytes blob, sealer_done *done, void *context)
{
	struct wire_writer writer;

	TRY(begin(link, SEALER_HEALTH, &writer));
	wire_put_text(&writer, PROCESS_TAG_SLOT_KIND, kind);
	wire_put(&writer, PROCESS_TAG_BLOB, blob.bytes, blob.size);
	const uint16_t expected[EXPECTED_TAGS] = {PROCESS_TAG_NUMBER, PROCESS_TAG_IDS};
	return start(link, &writer, expected, done, context);
}

enum mortise_status sealer_link_new(
	struct event_base *base, struct monitor_link *monitor, struct sealer_link **out_link)
{
	struct sealer_link *link = calloc(1, sizeof *link);

	if (!link)
		return MORTISE_BUSY;
	link->base = base;
	link->monitor = monitor;
	link->descriptor = -1;
	link->overdue_ms = SEALER_OVERDUE_MS;
	*out_link = link;
	return MORTISE_OK;
}

void sealer_rest(struct sealer_link *link)
{
	if (!link->now.done)
		let_go_when_late(link);
}

bool sealer_is_busy(const struct sealer_link *link)
{
	return link->now.done != NULL;
}

static void tell_nobody(void *context, struct sealer_answer *answer)
{
	(void)context;
	(void)answer;
}

void sealer_forget(struct sealer_link *link, const void *context)
{
	struct asked *both[] = {&link->now, &link->next};

	for (size_t i = 0; i < 2; i++)
		if (both[i]->done && both[i]->context == context)
			both[i]->done = tell_nobody;
}

void sealer_link_set_deadline(struct sealer_link *link, int overdue_ms)
{
	link->overdue_ms = overdue_ms;
}

void sealer_link_free(struct sealer_link *link)
{
	if (!link)
		return;
	if (link->readable)
		event_free(link->readable);
	if (link->descriptor >= 0)
		close(link->descriptor);
	drop(&link->now);
	drop(&link->next);
	free(link);
}
