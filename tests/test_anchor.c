/* SPDX-License-Identifier: ISC */
/* anchor with a real vault; the test is the monitor, and the sealer with a counter that lies. */
#include "vault_fixture.h"

#include <event2/event.h>
#include <sodium.h>
#include <sys/socket.h>

#include "anchor.h"
#include "processes.h"

#define LONG_S 3600

/* How the fake sealer answers. */
enum mood { HONEST, ABSENT, DEAF_AFTER_COUNTING };

struct world {
	struct fixture *fixture;
	struct event_base *base;
	struct monitor_link *monitor;
	struct sealer_link *link;
	struct anchor *anchor;
	int ours, theirs, sealer;
	enum mood mood;
	uint64_t counter;
	unsigned increments, spawns;
	struct secret *auth;

	unsigned checks;
	enum mortise_status verdict;
	enum token_fault fault;
	char text[512];
};

static struct world world;
static uint8_t in[WIRE_FRAME_MAX], out[WIRE_FRAME_MAX];

static void on_lost(void *context)
{
	(void)context;
}

static const struct monitor_hooks hooks = {.lost = on_lost};

static void answer_spawn(const struct wire_message *asked)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	struct wire_writer writer;
	int pair[2];

	assert_int_equal(asked->code, PROCESS_SPAWN);
	world.spawns++;
	wire_begin(&writer, out, sizeof out, MORTISE_OK, asked->request_id);
	struct iovec part = {out, wire_finish(&writer)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof room};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &pair[1], sizeof(int));
	assert_true(sendmsg(world.ours, &message, 0) > 0);
	close(pair[1]);
	if (world.sealer >= 0)
		close(world.sealer);
	world.sealer = pair[0];
}

static void answer_fault(const struct wire_message *asked, enum token_fault fault)
{
	struct wire_writer writer;

	wire_begin(&writer, out, sizeof out, MORTISE_HARDWARE, asked->request_id);
	wire_put_number(&writer, PROCESS_TAG_FAULT, fault);
	assert_true(send(world.sealer, out, wire_finish(&writer), MSG_NOSIGNAL) > 0);
}

static void answer_anchor(const struct wire_message *asked)
{
	struct wire_writer writer;
	uint64_t action = 0, expected = 0;

	assert_int_equal(asked->code, SEALER_ANCHOR);
	assert_memory_equal(
		wire_field_of(asked, PROCESS_TAG_KEY)->bytes, world.auth->bytes, KEY_SIZE);
	assert_int_equal(wire_number(asked, PROCESS_TAG_NUMBER, &action), MORTISE_OK);
	if (world.mood == ABSENT) {
		answer_fault(asked, TOKEN_FAULT_ABSENT);
		return;
	}
	if (action == TOKEN_ANCHOR_INCREMENT) {
		assert_int_equal(wire_number(asked, PROCESS_TAG_COUNTER, &expected), MORTISE_OK);
		if (expected != world.counter) {
			answer_fault(asked, TOKEN_FAULT_OTHER_COUNT);
			return;
		}
		world.counter++;
		world.increments++;
		if (world.mood == DEAF_AFTER_COUNTING) {
			world.mood = HONEST;
			close(world.sealer);
			world.sealer = -1;
			return;
		}
	}
	wire_begin(&writer, out, sizeof out, MORTISE_OK, asked->request_id);
	wire_put_number(&writer, PROCESS_TAG_COUNTER, world.counter);
	assert_true(send(world.sealer, out, wire_finish(&writer), MSG_NOSIGNAL) > 0);
}

static bool serve(int *fd, void (*answer)(const struct wire_message *))
{
	struct wire_message asked;

	if (*fd < 0)
		return false;
	ssize_t size = recv(*fd, in, sizeof in, MSG_DONTWAIT);
	if (size < 0)
		return false;
	if (size == 0) {
		close(*fd);
		*fd = -1;
		return true;
	}
	assert_int_equal(wire_parse(in, (size_t)size, &asked), MORTISE_OK);
	answer(&asked);
	return true;
}

/* Everything that is to be said is said. */
static void settle(void)
{
	do
		event_base_loop(world.base, EVLOOP_NONBLOCK);
	while (serve(&world.ours, answer_spawn) || serve(&world.sealer, answer_anchor));
	event_base_loop(world.base, EVLOOP_NONBLOCK);
}

/* As between the keeper's turns. */
static void turn(void)
{
	anchor_upkeep(world.anchor);
	settle();
	anchor_upkeep(world.anchor);
	settle();
}

static void on_checked(
	void *context, enum mortise_status status, enum token_fault fault, const char *text)
{
	(void)context;
	world.checks++;
	world.verdict = status;
	world.fault = fault;
	snprintf(world.text, sizeof world.text, "%s", text);
}

static enum mortise_status check(void)
{
	anchor_detach(world.anchor);
	world.checks = 0;
	assert_int_equal(
		anchor_check(world.anchor, world.fixture->vault, on_checked, NULL), MORTISE_OK);
	settle();
	assert_int_equal(world.checks, 1);
	return world.verdict;
}

static void begin(int window_s)
{
	assert_int_equal(anchor_new(world.link, window_s, &world.anchor), MORTISE_OK);
}

static void put_anchor(void)
{
	CLEANUP(secret_drop) struct secret *state = NULL;

	assert_int_equal(
		anchor_write_state("tpm2", world.auth, bytes_of("its place"), &state), MORTISE_OK);
	assert_int_equal(vault_set_anchor(world.fixture->vault, state, world.counter), MORTISE_OK);
}

static int set_up_world(void **state)
{
	int pair[2];

	if (set_up_vault(state) != 0)
		return -1;
	world = (struct world){.fixture = *state, .sealer = -1, .counter = 40};
	world.base = event_base_new();
	if (secret_random(KEY_SIZE, &world.auth) != MORTISE_OK ||
		socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
		return -1;
	world.ours = pair[0];
	world.theirs = pair[1];
	if (monitor_link_new(world.base, pair[1], &hooks, NULL, &world.monitor) != MORTISE_OK ||
		sealer_link_new(world.base, world.monitor, &world.link) != MORTISE_OK)
		return -1;
	put_anchor();
	return 0;
}

static int tear_down_world(void **state)
{
	anchor_free(world.anchor);
	sealer_link_free(world.link);
	monitor_link_free(world.monitor);
	close(world.ours);
	close(world.theirs);
	if (world.sealer >= 0)
		close(world.sealer);
	event_base_free(world.base);
	secret_drop(&world.auth);
	return tear_down(state);
}

static uint64_t generation(void)
{
	return vault_age(world.fixture->vault).generation;
}

/* ---- at unseal ---- */

static void a_store_as_old_as_its_counter_is_the_newest(void **state)
{
	(void)state;
	begin(LONG_S);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(world.increments, 0);
	assert_true(anchor_report(world.anchor).exists);
}

static void a_counter_one_behind_is_made_up_for_in_the_same_run(void **state)
{
	(void)state;
	begin(LONG_S);
	world.counter--;
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(world.counter, generation());
	assert_int_equal(world.spawns, 1);
}

static void an_old_copy_is_refused_by_both_numbers(void **state)
{
	(void)state;
	begin(LONG_S);
	world.counter++;
	assert_int_equal(check(), MORTISE_CONFLICT);
	assert_non_null(strstr(world.text, "generation is 40"));
	assert_non_null(strstr(world.text, "counter says 41"));
	assert_false(anchor_report(world.anchor).exists);
}

static void a_store_two_ahead_of_its_counter_is_refused(void **state)
{
	(void)state;
	begin(LONG_S);
	world.counter -= 2;
	assert_int_equal(check(), MORTISE_CONFLICT);
	assert_int_equal(world.increments, 0);
}

static void a_counter_that_cannot_be_read_is_no_pass(void **state)
{
	(void)state;
	begin(LONG_S);
	world.mood = ABSENT;
	assert_int_equal(check(), MORTISE_HARDWARE);
	assert_int_equal(world.fault, TOKEN_FAULT_ABSENT);
	assert_false(anchor_report(world.anchor).exists);
}

static void a_store_without_an_anchor_says_so(void **state)
{
	(void)state;
	begin(LONG_S);
	assert_int_equal(vault_set_anchor(world.fixture->vault, NULL, 0), MORTISE_OK);
	assert_int_equal(anchor_check(world.anchor, world.fixture->vault, on_checked, NULL),
		MORTISE_NOT_FOUND);
}

static void a_store_copied_before_an_increment_is_old_after_it(void **state)
{
	struct fixture *fixture = *state;
	char copy[96], command[256];

	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/a", "old"), MORTISE_OK);
	turn();
	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	snprintf(command, sizeof command, "cp '%s' '%s'", fixture->path, copy);
	assert_int_equal(system(command), 0);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/a", "new"), MORTISE_OK);
	turn();
	anchor_detach(world.anchor);
	close_all(fixture);
	assert_int_equal(rename(copy, fixture->path), 0);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(check(), MORTISE_CONFLICT);
}

/* ---- windows ---- */

static void commits_of_a_window_share_the_next_generation(void **state)
{
	(void)state;
	begin(LONG_S);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	turn();
	assert_int_equal(set(*state, "prod/b", "2"), MORTISE_OK);
	turn();
	assert_int_equal(generation(), 41);
	assert_int_equal(world.increments, 0);
	assert_int_equal(anchor_report(world.anchor).counter, 40);
}

static void a_window_ends_with_one_increment_for_all_its_commits(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(set(*state, "prod/a", i % 2 ? "1" : "2"), MORTISE_OK);
	turn();
	turn();
	assert_int_equal(world.increments, 1);
	assert_int_equal(world.counter, generation());
	assert_int_equal(anchor_report(world.anchor).lag_s, 0);
}

static void a_policy_does_not_wait_for_its_window(void **state)
{
	uint64_t version = 0;

	begin(LONG_S);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(
		vault_set_policy(world.fixture->vault, bytes_of("p"), &version), MORTISE_OK);
	turn();
	assert_int_equal(world.increments, 1);
}

static void audit_state_raises_nothing(void **state)
{
	CLEANUP(secret_drop) struct secret *audit_state = NULL;

	(void)state;
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(secret_copy("next keys", 9, &audit_state), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(world.fixture->vault, audit_state), MORTISE_OK);
	turn();
	assert_int_equal(generation(), 40);
	assert_int_equal(world.increments, 0);
}

static void a_commit_while_the_tpm_counts_gets_a_window_of_its_own(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	anchor_upkeep(world.anchor);
	assert_int_equal(set(*state, "prod/a", "2"), MORTISE_OK);
	assert_int_equal(generation(), 41);
	settle();
	assert_int_equal(world.counter, 41);
	assert_int_equal(generation(), 42);
	turn();
	assert_int_equal(world.counter, 42);
	assert_int_equal(generation(), 42);
}

/* The store would be called an old copy of itself, as soon as it is opened again. */
static void the_tpm_never_counts_beyond_the_generation_of_the_store(void **state)
{
	struct fixture *fixture = *state;

	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/a", "1"), MORTISE_OK);
	anchor_upkeep(world.anchor);
	assert_int_equal(set(fixture, "prod/a", "2"), MORTISE_OK);
	vault_rehearse(fixture->vault, true); /* as a disk that takes no write */
	for (unsigned i = 0; i < 3; i++) {
		turn();
		assert_int_equal(world.counter, 41);
		assert_int_equal(generation(), 41);
	}
	vault_rehearse(fixture->vault, false);
	turn();
	assert_int_equal(generation(), 42);
	assert_int_equal(world.counter, 42);
}

static void an_increment_that_fails_is_tried_again(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	world.mood = ABSENT;
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	turn();
	assert_string_not_equal(anchor_report(world.anchor).complaint, "");
	world.mood = HONEST;
	turn();
	assert_int_equal(world.counter, generation());
	assert_string_equal(anchor_report(world.anchor).complaint, "");
}

static void a_count_whose_answer_was_lost_is_not_counted_twice(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	world.mood = DEAF_AFTER_COUNTING;
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	turn();
	turn();
	assert_int_equal(world.increments, 1);
	assert_int_equal(world.counter, generation());
	assert_string_equal(anchor_report(world.anchor).complaint, "");
}

static void copy_store(const struct fixture *fixture, const char *from, const char *to)
{
	static const char *const parts[] = {"", "-wal"};
	char command[1024];

	for (size_t i = 0; i < 2; i++) {
		snprintf(command, sizeof command, "rm -f '%s%s%s' && cp '%s%s%s' '%s%s%s'",
			fixture->path, to, parts[i], fixture->path, from, parts[i], fixture->path,
			to, parts[i]);
		assert_int_equal(system(command), 0);
	}
}

/* The write has the generation that the TPM had reached without anybody's knowing. */
static void a_write_after_a_count_whose_answer_was_lost_is_covered_by_another(void **state)
{
	struct fixture *fixture = *state;

	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	world.mood = DEAF_AFTER_COUNTING;
	assert_int_equal(set(fixture, "prod/a", "1"), MORTISE_OK);
	anchor_upkeep(world.anchor);
	settle();
	assert_int_equal(world.counter, 41);
	copy_store(fixture, "", ".copy");
	assert_int_equal(set(fixture, "prod/a", "2"), MORTISE_OK);
	turn();
	turn();
	assert_int_equal(anchor_report(world.anchor).lag_s, 0);
	anchor_detach(world.anchor);
	close_all(fixture);
	copy_store(fixture, ".copy", "");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(check(), MORTISE_CONFLICT);
}

static void somebody_elses_count_is_never_followed(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	world.counter += 5;
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	turn();
	turn();
	assert_int_equal(anchor_report(world.anchor).counter, 40);
	assert_non_null(strstr(anchor_report(world.anchor).complaint, "a snapshot"));
}

/* It could be taken for one of ours whose answer was lost. */
static void somebody_elses_count_is_not_followed_where_it_is_one(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	world.counter++;
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	for (unsigned i = 0; i < 4; i++)
		turn();
	assert_int_equal(anchor_report(world.anchor).counter, 40);
	assert_non_null(strstr(anchor_report(world.anchor).complaint, "a snapshot"));
}

/* An answer was lost; then the counter is found where neither of both would have it. */
static void a_count_that_is_neither_is_somebody_elses(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	world.mood = ABSENT;
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	turn();
	world.mood = HONEST;
	world.counter += 5;
	for (unsigned i = 0; i < 3; i++)
		turn();
	assert_int_equal(anchor_report(world.anchor).counter, 40);
	assert_non_null(strstr(anchor_report(world.anchor).complaint, "a snapshot"));
}

static void a_spent_budget_makes_windows_long(void **state)
{
	begin(0);
	assert_int_equal(check(), MORTISE_OK);
	for (unsigned i = 0; i < ANCHOR_BUDGET + 5; i++) {
		assert_int_equal(set(*state, "prod/a", i % 2 ? "1" : "2"), MORTISE_OK);
		turn();
	}
	assert_int_equal(world.increments, ANCHOR_BUDGET);
	assert_int_equal(anchor_report(world.anchor).budget, 0);
	assert_int_equal(generation(), world.counter + 1);
}

static void a_new_anchor_may_start_lower(void **state)
{
	begin(0);
	world.counter = 3;
	put_anchor();
	assert_int_equal(generation(), 3);
	assert_int_equal(anchor_attach(world.anchor, world.fixture->vault), MORTISE_OK);
	assert_int_equal(set(*state, "prod/a", "1"), MORTISE_OK);
	assert_int_equal(generation(), 4);
}

static void a_state_of_another_form_is_an_integrity_error(void **state)
{
	CLEANUP(secret_drop) struct secret *junk = NULL;

	(void)state;
	begin(0);
	assert_int_equal(secret_copy("junk", 4, &junk), MORTISE_OK);
	assert_int_equal(vault_set_anchor(world.fixture->vault, junk, 3), MORTISE_OK);
	assert_int_equal(anchor_check(world.anchor, world.fixture->vault, on_checked, NULL),
		MORTISE_INTEGRITY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_world, tear_down_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_as_old_as_its_counter_is_the_newest),
		TEST(a_counter_one_behind_is_made_up_for_in_the_same_run),
		TEST(an_old_copy_is_refused_by_both_numbers),
		TEST(a_store_two_ahead_of_its_counter_is_refused),
		TEST(a_counter_that_cannot_be_read_is_no_pass),
		TEST(a_store_without_an_anchor_says_so),
		TEST(a_store_copied_before_an_increment_is_old_after_it),
		TEST(commits_of_a_window_share_the_next_generation),
		TEST(a_window_ends_with_one_increment_for_all_its_commits),
		TEST(a_policy_does_not_wait_for_its_window),
		TEST(audit_state_raises_nothing),
		TEST(a_commit_while_the_tpm_counts_gets_a_window_of_its_own),
		TEST(the_tpm_never_counts_beyond_the_generation_of_the_store),
		TEST(an_increment_that_fails_is_tried_again),
		TEST(a_count_whose_answer_was_lost_is_not_counted_twice),
		TEST(a_write_after_a_count_whose_answer_was_lost_is_covered_by_another),
		TEST(somebody_elses_count_is_never_followed),
		TEST(somebody_elses_count_is_not_followed_where_it_is_one),
		TEST(a_count_that_is_neither_is_somebody_elses),
		TEST(a_spent_budget_makes_windows_long),
		TEST(a_new_anchor_may_start_lower),
		TEST(a_state_of_another_form_is_an_integrity_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
