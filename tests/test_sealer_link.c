/* SPDX-License-Identifier: ISC */
/* sealer_link alone: the test is the monitor that spawns and the sealer that lies. */
#include <string.h>

#include <event2/event.h>
#include <sodium.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mortise_test.h"
#include "processes.h"
#include "sealer_link.h"

struct fixture {
	struct event_base *base;
	struct monitor_link *monitor;
	struct sealer_link *link;
	int ours, theirs, sealer;
	struct wire_message request; /* the sealer's */
	unsigned dones;
	enum mortise_status status;
	enum token_fault fault;
	char detail[256];
	uint8_t h[KEY_SIZE];
	size_t blob_size;
	char uri[128];
	uint64_t counter;
	struct token_health health;
};

static struct fixture fixture;
static uint8_t in[WIRE_FRAME_MAX], out[WIRE_FRAME_MAX];
static const struct token_wish plain;
static const uint8_t bytes[TOKEN_BLOB_MAX + 1] = {7, 7, 7};

static void on_lost(void *context)
{
	(void)context;
}

static const struct monitor_hooks hooks = {.lost = on_lost};

static void on_done(void *context, struct sealer_answer *answer)
{
	(void)context;
	fixture.dones++;
	fixture.status = answer->status;
	fixture.fault = answer->fault;
	memcpy(fixture.detail, answer->detail, sizeof fixture.detail);
	fixture.blob_size = answer->blob.size;
	(void)snprintf(fixture.uri, sizeof fixture.uri, "%.*s", (int)answer->uri.size,
		answer->uri.size ? (const char *)answer->uri.bytes : "");
	fixture.counter = answer->counter;
	fixture.health = answer->health;
	if (answer->h)
		memcpy(fixture.h, answer->h->bytes, KEY_SIZE);
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	fixture = (struct fixture){.sealer = -1};
	fixture.base = event_base_new();
	if (secret_pool_open(262144) != MORTISE_OK ||
		socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
		return -1;
	fixture.ours = pair[0];
	fixture.theirs = pair[1];
	if (monitor_link_new(fixture.base, pair[1], &hooks, NULL, &fixture.monitor) != MORTISE_OK)
		return -1;
	return sealer_link_new(fixture.base, fixture.monitor, &fixture.link) == MORTISE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	sealer_link_free(fixture.link);
	monitor_link_free(fixture.monitor);
	close(fixture.ours);
	close(fixture.theirs);
	if (fixture.sealer >= 0)
		close(fixture.sealer);
	event_base_free(fixture.base);
	secret_pool_close();
	return 0;
}

static void turn(void)
{
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
}

/* Answers the SPAWN that was asked, with or without a sealer's socket. */
static void answer_spawn(uint16_t code, bool with_socket)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	struct wire_message asked;
	struct wire_writer writer;
	int pair[2];
	ssize_t size = recv(fixture.ours, in, sizeof in, MSG_DONTWAIT);

	assert_true(size > 0);
	assert_int_equal(wire_parse(in, (size_t)size, &asked), MORTISE_OK);
	assert_int_equal(asked.code, PROCESS_SPAWN);
	wire_begin(&writer, out, sizeof out, code, asked.request_id);
	struct iovec part = {out, wire_finish(&writer)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	if (with_socket) {
		message.msg_control = room;
		message.msg_controllen = sizeof room;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &pair[1], sizeof(int));
	}
	assert_true(sendmsg(fixture.ours, &message, 0) > 0);
	close(pair[1]);
	fixture.sealer = pair[0];
	turn();
}

static void read_request(void)
{
	ssize_t size = recv(fixture.sealer, in, sizeof in, MSG_DONTWAIT);

	assert_true(size > 0);
	assert_int_equal(wire_parse(in, (size_t)size, &fixture.request), MORTISE_OK);
}

static void open_slot(void)
{
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
}

static void enrol(void)
{
	assert_int_equal(sealer_enrol(fixture.link, "tpm2", &plain, on_done, NULL), MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
}

/* An answer with h and a blob of these sizes; -1: without. */
static void answer(uint16_t code, int h_size, int blob_size)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, code, fixture.request.request_id);
	if (h_size >= 0)
		wire_put(&writer, PROCESS_TAG_KEY, bytes, (size_t)h_size);
	if (blob_size >= 0)
		wire_put(&writer, PROCESS_TAG_BLOB, bytes, (size_t)blob_size);
	size_t size = wire_finish(&writer);
	assert_true(send(fixture.sealer, out, size, MSG_NOSIGNAL) == (ssize_t)size);
	turn();
}

static void assert_fault(enum token_fault fault)
{
	assert_int_equal(fixture.dones, 1);
	assert_int_equal(fixture.status, MORTISE_HARDWARE);
	assert_int_equal(fixture.fault, fault);
}

static void an_open_carries_kind_and_blob_and_gives_h(void **state)
{
	(void)state;
	open_slot();
	assert_int_equal(fixture.request.code, SEALER_OPEN);
	assert_int_equal(wire_field_of(&fixture.request, PROCESS_TAG_BLOB)->size, 5);
	answer(MORTISE_OK, KEY_SIZE, -1);
	assert_int_equal(fixture.dones, 1);
	assert_int_equal(fixture.status, MORTISE_OK);
	assert_memory_equal(fixture.h, bytes, KEY_SIZE);
}

static void an_enrolment_carries_entropy_and_gives_h_and_blob(void **state)
{
	(void)state;
	enrol();
	assert_int_equal(fixture.request.code, SEALER_ENROL);
	assert_int_equal(wire_field_of(&fixture.request, PROCESS_TAG_ENTROPY)->size, KEY_SIZE);
	assert_false(sodium_is_zero(
		wire_field_of(&fixture.request, PROCESS_TAG_ENTROPY)->bytes, KEY_SIZE));
	answer(MORTISE_OK, KEY_SIZE, TOKEN_BLOB_MAX);
	assert_int_equal(fixture.status, MORTISE_OK);
	assert_int_equal(fixture.blob_size, TOKEN_BLOB_MAX);
}

static void an_h_of_another_size_is_malformed(void **state)
{
	(void)state;
	for (int size = KEY_SIZE - 1; size <= KEY_SIZE + 1; size += 2) {
		fixture.dones = 0;
		open_slot();
		answer(MORTISE_OK, size, -1);
		assert_fault(TOKEN_FAULT_MALFORMED);
	}
}

static void an_answer_without_h_is_malformed(void **state)
{
	(void)state;
	open_slot();
	answer(MORTISE_OK, -1, -1);
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void a_blob_larger_than_allowed_is_malformed(void **state)
{
	(void)state;
	enrol();
	answer(MORTISE_OK, KEY_SIZE, TOKEN_BLOB_MAX + 1);
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void an_enrolments_answer_to_an_open_is_malformed(void **state)
{
	(void)state;
	open_slot();
	answer(MORTISE_OK, KEY_SIZE, 5);
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void an_opens_answer_to_an_enrolment_is_malformed(void **state)
{
	(void)state;
	enrol();
	answer(MORTISE_OK, KEY_SIZE, -1);
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void ask_health(void)
{
	assert_int_equal(
		sealer_health(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, on_done, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
}

/* With a key besides if has_key. */
static void answer_health(uint64_t flags, size_t ids_size, bool has_key)
{
	static const uint8_t ids[20] = {1, 0, 0, 0, 3, 0, 0, 0, 0xe8, 3, 0, 0, 0x80, 8};
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, MORTISE_OK, fixture.request.request_id);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, flags);
	if (has_key)
		wire_put(&writer, PROCESS_TAG_KEY, bytes, KEY_SIZE);
	wire_put(&writer, PROCESS_TAG_IDS, ids, ids_size);
	size_t size = wire_finish(&writer);
	assert_true(send(fixture.sealer, out, size, MSG_NOSIGNAL) == (ssize_t)size);
	turn();
}

static void health_is_asked_with_kind_and_blob_and_without_a_pin(void **state)
{
	(void)state;
	ask_health();
	assert_int_equal(fixture.request.code, SEALER_HEALTH);
	assert_true(wire_has_fields(
		&fixture.request, WIRE_TAGS(PROCESS_TAG_SLOT_KIND, PROCESS_TAG_BLOB), NULL));
	answer_health(TOKEN_HEALTH_LOCKED, 16, false);
	assert_int_equal(fixture.status, MORTISE_OK);
	assert_int_equal(fixture.health.flags, TOKEN_HEALTH_LOCKED);
	assert_int_equal(fixture.health.tries_failed, 1);
	assert_int_equal(fixture.health.tries_max, 3);
	assert_int_equal(fixture.health.back_s, 1000);
	assert_int_equal(fixture.health.idle_pcrs, 1u << 7 | 1u << 11);
}

static void health_that_lies_is_malformed(void **state)
{
	static const struct {
		uint64_t flags;
		size_t ids_size;
		bool has_key;
	} lies[] = {{TOKEN_HEALTH_FLAGS + 1, 16, false}, {UINT64_MAX, 16, false}, {0, 15, false},
		{0, 20, false}, {0, 0, false}, {0, 16, true}};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		fixture.dones = 0;
		ask_health();
		answer_health(lies[i].flags, lies[i].ids_size, lies[i].has_key);
		assert_fault(TOKEN_FAULT_MALFORMED);
	}
}

static void garbage_is_malformed(void **state)
{
	(void)state;
	open_slot();
	assert_int_equal(send(fixture.sealer, "garbage", 7, MSG_NOSIGNAL), 7);
	turn();
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void a_frame_larger_than_any_answer_is_malformed(void **state)
{
	(void)state;
	open_slot();
	answer(MORTISE_HARDWARE, -1, TOKEN_BLOB_MAX);
	assert_int_equal(fixture.dones, 1);
	fixture.dones = 0;
	open_slot();
	assert_int_equal(send(fixture.sealer, out, 8193, MSG_NOSIGNAL), 8193);
	turn();
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void a_failure_with_a_fault_that_is_none_is_another_fault(void **state)
{
	const uint64_t faults[] = {TOKEN_FAULT_NONE, TOKEN_FAULT_COUNT, UINT64_MAX};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct wire_writer writer;
		fixture.dones = 0;
		open_slot();
		wire_begin(&writer, out, sizeof out, MORTISE_HARDWARE, fixture.request.request_id);
		wire_put_text(&writer, PROCESS_TAG_TEXT, "a\nb\x1b\x80\x7f c");
		wire_put_number(&writer, PROCESS_TAG_FAULT, faults[i]);
		assert_true(send(fixture.sealer, out, wire_finish(&writer), 0) > 0);
		turn();
		assert_fault(TOKEN_FAULT_OTHER);
		assert_string_equal(fixture.detail, "ab c");
	}
}

static void a_long_detail_is_cut(void **state)
{
	static char text[600];
	struct wire_writer writer;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	open_slot();
	wire_begin(&writer, out, sizeof out, MORTISE_HARDWARE, fixture.request.request_id);
	wire_put_text(&writer, PROCESS_TAG_TEXT, text);
	wire_put_number(&writer, PROCESS_TAG_FAULT, TOKEN_FAULT_LOCKOUT);
	assert_true(send(fixture.sealer, out, wire_finish(&writer), 0) > 0);
	turn();
	assert_fault(TOKEN_FAULT_LOCKOUT);
	assert_int_equal(strlen(fixture.detail), 255);
}

static void another_status_than_hardware_is_a_failure_all_the_same(void **state)
{
	(void)state;
	open_slot();
	answer(MORTISE_DENIED, KEY_SIZE, -1);
	assert_fault(TOKEN_FAULT_OTHER);
}

static void a_sealer_that_dies_is_a_fault(void **state)
{
	(void)state;
	open_slot();
	close(fixture.sealer);
	fixture.sealer = -1;
	turn();
	assert_fault(TOKEN_FAULT_DIED);
}

static void a_monitor_that_spawns_none_is_a_fault(void **state)
{
	(void)state;
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, false);
	assert_fault(TOKEN_FAULT_DIED);
	fixture.dones = 0;
	close(fixture.sealer);
	assert_int_equal(sealer_enrol(fixture.link, "tpm2", &plain, on_done, NULL), MORTISE_OK);
	answer_spawn(MORTISE_BUSY, true);
	assert_fault(TOKEN_FAULT_BUSY);
}

static void only_one_operation_runs_at_a_time(void **state)
{
	(void)state;
	open_slot();
	assert_int_equal(sealer_enrol(fixture.link, "tpm2", &plain, on_done, NULL), MORTISE_BUSY);
	answer(MORTISE_OK, KEY_SIZE, -1);
	assert_int_equal(fixture.dones, 1);
	close(fixture.sealer);
	enrol();
}

static void a_second_answer_is_nobodys(void **state)
{
	struct wire_writer writer;

	(void)state;
	open_slot();
	wire_begin(&writer, out, sizeof out, MORTISE_OK, fixture.request.request_id);
	wire_put(&writer, PROCESS_TAG_KEY, bytes, KEY_SIZE);
	size_t size = wire_finish(&writer);
	assert_true(send(fixture.sealer, out, size, 0) > 0);
	assert_true(send(fixture.sealer, out, size, 0) > 0);
	turn();
	turn();
	assert_int_equal(fixture.dones, 1);
}

static void an_answer_to_another_request_is_malformed(void **state)
{
	(void)state;
	open_slot();
	fixture.request.request_id++;
	answer(MORTISE_OK, KEY_SIZE, -1);
	assert_fault(TOKEN_FAULT_MALFORMED);
}

static void on_done_ask_anchor(void *context, struct sealer_answer *answer)
{
	const struct token_anchor anchor = {.action = TOKEN_ANCHOR_INCREMENT,
		.auth = answer->h,
		.place = {bytes, 3},
		.expected = 7};

	on_done(context, answer);
	assert_int_equal(sealer_anchor(fixture.link, "tpm2", &anchor, on_done, NULL), MORTISE_OK);
}

static void an_anchor_is_asked_of_the_sealer_that_opened(void **state)
{
	struct wire_writer writer;
	uint64_t expected = 0;

	(void)state;
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done_ask_anchor, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	answer(MORTISE_OK, KEY_SIZE, -1);
	read_request();
	assert_int_equal(fixture.request.code, SEALER_ANCHOR);
	assert_int_equal(wire_number(&fixture.request, PROCESS_TAG_COUNTER, &expected), MORTISE_OK);
	assert_int_equal(expected, 7);
	wire_begin(&writer, out, sizeof out, MORTISE_OK, fixture.request.request_id);
	wire_put_number(&writer, PROCESS_TAG_COUNTER, 8);
	assert_true(send(fixture.sealer, out, wire_finish(&writer), 0) > 0);
	turn();
	assert_int_equal(fixture.dones, 2);
	assert_int_equal(fixture.status, MORTISE_OK);
	assert_int_equal(fixture.counter, 8);
}

/* Between the two the store is read, and a sealer has one deadline for all that it is asked. */
static void an_anchor_is_asked_of_a_fresh_sealer_where_the_first_is_half_over(void **state)
{
	const struct timespec wait = {.tv_nsec = 60000000};

	(void)state;
	sealer_link_set_deadline(fixture.link, 100);
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done_ask_anchor, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	nanosleep(&wait, NULL);
	answer(MORTISE_OK, KEY_SIZE, -1);
	close(fixture.sealer);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_int_equal(fixture.request.code, SEALER_ANCHOR);
}

static void on_done_rest(void *context, struct sealer_answer *answer)
{
	const struct timespec wait = {.tv_nsec = 60000000};
	char byte;

	sealer_rest(fixture.link);
	assert_int_equal(recv(fixture.sealer, &byte, 1, MSG_DONTWAIT), -1); /* it is there still */
	nanosleep(&wait, NULL);
	sealer_rest(fixture.link);
	assert_int_equal(recv(fixture.sealer, &byte, 1, MSG_DONTWAIT), 0);
	on_done_ask_anchor(context, answer);
}

/* Else the monitor has to kill it, and says that it hung. */
static void a_sealer_that_waits_goes_when_half_of_its_time_is_over(void **state)
{
	(void)state;
	sealer_link_set_deadline(fixture.link, 100);
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done_rest, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	answer(MORTISE_OK, KEY_SIZE, -1);
	close(fixture.sealer);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_int_equal(fixture.request.code, SEALER_ANCHOR);
}

static void an_anchor_without_its_counter_is_malformed(void **state)
{
	(void)state;
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done_ask_anchor, NULL),
		MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	answer(MORTISE_OK, KEY_SIZE, -1);
	read_request();
	answer(MORTISE_OK, -1, -1);
	assert_int_equal(fixture.fault, TOKEN_FAULT_MALFORMED);
}

static void on_done_open_again(void *context, struct sealer_answer *answer)
{
	on_done(context, answer);
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done, NULL),
		MORTISE_OK);
}

static void answer_count(uint64_t count)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, MORTISE_OK, fixture.request.request_id);
	wire_put_number(&writer, PROCESS_TAG_COUNTER, count);
	assert_true(send(fixture.sealer, out, wire_finish(&writer), 0) > 0);
	turn();
}

static enum mortise_status count_up(void)
{
	CLEANUP(secret_drop) struct secret *auth = NULL;

	assert_int_equal(secret_copy(bytes, KEY_SIZE, &auth), MORTISE_OK);
	const struct token_anchor anchor = {
		.action = TOKEN_ANCHOR_INCREMENT, .auth = auth, .place = {bytes, 3}, .expected = 7};
	return sealer_anchor(fixture.link, "tpm2", &anchor, on_done, NULL);
}

/* Nobody asked for an anchor to be counted up, and so nobody is refused for it. */
static void behind_an_anchor_one_operation_waits_its_turn(void **state)
{
	(void)state;
	assert_int_equal(count_up(), MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_int_equal(sealer_open(fixture.link, "tpm2", (struct store_bytes){bytes, 5}, NULL,
				 on_done, NULL),
		MORTISE_OK);
	assert_int_equal(sealer_enrol(fixture.link, "tpm2", &plain, on_done, NULL), MORTISE_BUSY);
	assert_int_equal(count_up(), MORTISE_BUSY);
	answer_count(8);
	assert_int_equal(fixture.dones, 1);
	assert_int_equal(fixture.counter, 8);
	assert_int_equal(recv(fixture.sealer, in, sizeof in, MSG_DONTWAIT), 0);
	close(fixture.sealer);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_int_equal(fixture.request.code, SEALER_OPEN);
	answer(MORTISE_OK, KEY_SIZE, -1);
	assert_int_equal(fixture.dones, 2);
	assert_int_equal(fixture.status, MORTISE_OK);
	assert_false(sealer_is_busy(fixture.link));
}

static void what_waits_behind_an_anchor_gets_its_turn_when_that_fails(void **state)
{
	(void)state;
	assert_int_equal(count_up(), MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	assert_int_equal(sealer_enrol(fixture.link, "tpm2", &plain, on_done, NULL), MORTISE_OK);
	close(fixture.sealer);
	turn();
	assert_fault(TOKEN_FAULT_DIED);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_int_equal(fixture.request.code, SEALER_ENROL);
}

static void an_opening_is_asked_of_a_fresh_sealer(void **state)
{
	(void)state;
	assert_int_equal(
		sealer_enrol(fixture.link, "tpm2", &plain, on_done_open_again, NULL), MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	answer(MORTISE_OK, KEY_SIZE, 9);
	assert_int_equal(recv(fixture.sealer, in, sizeof in, MSG_DONTWAIT), 0);
	close(fixture.sealer);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_int_equal(fixture.request.code, SEALER_OPEN);
}

static void a_wish_travels_whole(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct token_wish wish = {NULL, 1u << 7, {bytes, 12}, "pkcs11:token=t"};
	uint64_t pcrs = 0;

	(void)state;
	assert_int_equal(secret_copy("1234", 4, &pin), MORTISE_OK);
	wish.pin = pin;
	assert_int_equal(sealer_enrol(fixture.link, "tpm2", &wish, on_done, NULL), MORTISE_OK);
	answer_spawn(MORTISE_OK, true);
	read_request();
	assert_memory_equal(wire_field_of(&fixture.request, PROCESS_TAG_PIN)->bytes, "1234", 4);
	assert_memory_equal(
		wire_field_of(&fixture.request, PROCESS_TAG_URI)->bytes, "pkcs11:token=t", 14);
	assert_int_equal(wire_number(&fixture.request, PROCESS_TAG_PCRS, &pcrs), MORTISE_OK);
	assert_int_equal(pcrs, 1u << 7);
	assert_int_equal(wire_field_of(&fixture.request, PROCESS_TAG_PUBLIC_KEY)->size, 12);
}

static void what_a_uri_led_to_is_a_uri_or_the_answer_is_malformed(void **state)
{
	static const struct {
		const char *uri; /* NULL: none */
		bool is_right;
	} answers[] = {{"pkcs11:token=t;serial=1?module-path=/m.so", true}, {NULL, false},
		{"", false}, {"pkcs11", false}, {"http://token=t", false},
		{"pkcs11:token=a b", false}, {"pkcs11:token=a\nb", false},
		{"pkcs11:token=\xc3\xbc", false}};
	const struct token_wish wish = {.uri = "pkcs11:token=t"};
	struct wire_writer writer;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		fixture.dones = 0;
		assert_int_equal(
			sealer_enrol(fixture.link, "pkcs11", &wish, on_done, NULL), MORTISE_OK);
		answer_spawn(MORTISE_OK, true);
		read_request();
		wire_begin(&writer, out, sizeof out, MORTISE_OK, fixture.request.request_id);
		if (answers[i].uri)
			wire_put_text(&writer, PROCESS_TAG_URI, answers[i].uri);
		wire_put(&writer, PROCESS_TAG_KEY, bytes, KEY_SIZE);
		wire_put(&writer, PROCESS_TAG_BLOB, bytes, 9);
		size_t size = wire_finish(&writer);
		assert_true(send(fixture.sealer, out, size, MSG_NOSIGNAL) == (ssize_t)size);
		turn();
		if (!answers[i].is_right) {
			assert_fault(TOKEN_FAULT_MALFORMED);
			continue;
		}
		assert_int_equal(fixture.status, MORTISE_OK);
		assert_string_equal(fixture.uri, answers[i].uri);
	}
}

static void no_secret_stays_behind(void **state)
{
	(void)state;
	size_t room = secret_pool_room();
	open_slot();
	answer(MORTISE_OK, KEY_SIZE, -1);
	close(fixture.sealer);
	open_slot();
	answer(MORTISE_OK, KEY_SIZE - 1, -1);
	assert_int_equal(secret_pool_room(), room);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_open_carries_kind_and_blob_and_gives_h),
		TEST(an_enrolment_carries_entropy_and_gives_h_and_blob),
		TEST(an_h_of_another_size_is_malformed),
		TEST(an_answer_without_h_is_malformed),
		TEST(a_blob_larger_than_allowed_is_malformed),
		TEST(an_enrolments_answer_to_an_open_is_malformed),
		TEST(an_opens_answer_to_an_enrolment_is_malformed),
		TEST(health_is_asked_with_kind_and_blob_and_without_a_pin),
		TEST(health_that_lies_is_malformed),
		TEST(garbage_is_malformed),
		TEST(a_frame_larger_than_any_answer_is_malformed),
		TEST(a_failure_with_a_fault_that_is_none_is_another_fault),
		TEST(a_long_detail_is_cut),
		TEST(another_status_than_hardware_is_a_failure_all_the_same),
		TEST(a_sealer_that_dies_is_a_fault),
		TEST(a_monitor_that_spawns_none_is_a_fault),
		TEST(only_one_operation_runs_at_a_time),
		TEST(a_second_answer_is_nobodys),
		TEST(an_answer_to_another_request_is_malformed),
		TEST(an_anchor_is_asked_of_the_sealer_that_opened),
		TEST(an_anchor_is_asked_of_a_fresh_sealer_where_the_first_is_half_over),
		TEST(a_sealer_that_waits_goes_when_half_of_its_time_is_over),
		TEST(an_anchor_without_its_counter_is_malformed),
		TEST(behind_an_anchor_one_operation_waits_its_turn),
		TEST(what_waits_behind_an_anchor_gets_its_turn_when_that_fails),
		TEST(an_opening_is_asked_of_a_fresh_sealer),
		TEST(a_wish_travels_whole),
		TEST(what_a_uri_led_to_is_a_uri_or_the_answer_is_malformed),
		TEST(no_secret_stays_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
