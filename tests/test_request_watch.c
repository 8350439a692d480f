/* SPDX-License-Identifier: ISC */
/* WATCH as a client sees it. */
#include "keeper_fixture.h"

#include <poll.h>
#include <unistd.h>

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"
#define LONG_MS 600000

static void begin_watch(struct asker *asker, const char *path, uint64_t known, uint64_t limit_ms)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_WATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS), item = wire_item_begin(writer);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put_number(writer, WIRE_TAG_VERSION, known);
	wire_item_end(writer, item);
	wire_list_end(writer, list);
	wire_put_number(writer, WIRE_TAG_NUMBER, limit_ms);
}

/* "prod/x 2 ok", or "" where nothing is told. */
static void read_news(const struct asker *asker, char out_text[300])
{
	struct wire_list items = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	char path[MORTISE_PATH_MAX + 1];
	struct wire_message item;
	struct wire_field field;
	uint64_t status = 99, version = 0;

	out_text[0] = '\0';
	if (!wire_list_next(&items, &field))
		return;
	assert_int_equal(wire_parse_fields(field.bytes, field.size, &item), MORTISE_OK);
	assert_int_equal(wire_text(&item, WIRE_TAG_PATH, path, sizeof path), MORTISE_OK);
	assert_int_equal(wire_number(&item, WIRE_TAG_STATUS, &status), MORTISE_OK);
	if (wire_has(&item, WIRE_TAG_VERSION))
		assert_int_equal(wire_number(&item, WIRE_TAG_VERSION, &version), MORTISE_OK);
	snprintf(out_text, 300, "%s %llu %s", path, (unsigned long long)version,
		status == MORTISE_OK          ? "ok"
		: status == MORTISE_NOT_FOUND ? "none"
		: status == MORTISE_DENIED    ? "denied"
					      : "?");
	assert_false(wire_list_next(&items, &field));
}

static void assert_news(const struct asker *asker, const char *expected)
{
	char text[300];

	read_news(asker, text);
	assert_string_equal(text, expected);
}

static struct asker *watch(
	struct keeper_fixture *fixture, const char *path, uint64_t known, uint64_t limit_ms)
{
	struct asker *asker = asker_open(fixture);

	begin_watch(asker, path, known, limit_ms);
	asker_send(asker);
	return asker;
}

/* Has it no answer, now that the agent has answered something else? */
static void assert_waits(struct keeper_fixture *fixture, const struct asker *asker)
{
	struct asker *other = asker_open(fixture);
	struct pollfd ready = {.fd = asker->fd, .events = POLLIN};

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ask_plain(fixture, other, WIRE_STATUS), MORTISE_OK);
	assert_int_equal(poll(&ready, 1, 0), 0);
	asker_close(other);
}

static void what_differs_already_is_told_at_once(void **state)
{
	struct keeper_fixture *fixture = *state;

	keeper_put(fixture, "prod/x", "one");
	struct asker *asker = watch(fixture, "prod/x", 0, LONG_MS);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "prod/x 1 ok");
	begin_watch(asker, "prod/absent", 3, LONG_MS);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	assert_news(asker, "prod/absent 0 none");
	asker_close(asker);
}

static void with_no_time_the_answer_is_what_differs_now(void **state)
{
	struct keeper_fixture *fixture = *state;

	keeper_put(fixture, "prod/x", "one");
	struct asker *asker = watch(fixture, "prod/x", 1, 0);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "");
	asker_close(asker);
}

static void a_new_version_of_this_secret_and_no_other_is_told(void **state)
{
	struct keeper_fixture *fixture = *state;

	keeper_put(fixture, "prod/x", "one");
	struct asker *asker = watch(fixture, "prod/x", 1, LONG_MS);
	assert_waits(fixture, asker);
	keeper_put(fixture, "prod/other", "one");
	assert_waits(fixture, asker);
	keeper_put(fixture, "prod/x", "two");
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "prod/x 2 ok");
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	asker_close(asker);
}

static void a_deletion_and_a_secret_that_comes_are_told(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *other = asker_open(fixture);

	struct asker *asker = watch(fixture, "prod/x", 0, LONG_MS);
	assert_waits(fixture, asker);
	keeper_put(fixture, "prod/x", "one");
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "prod/x 1 ok");
	begin_watch(asker, "prod/x", 1, LONG_MS);
	asker_send(asker);
	assert_waits(fixture, asker);
	assert_int_equal(ask_path(fixture, other, WIRE_DELETE, "prod/x"), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "prod/x 0 none");
	asker_close(asker);
	asker_close(other);
}

static void when_the_time_is_over_nothing_has_changed(void **state)
{
	struct keeper_fixture *fixture = *state;

	keeper_put(fixture, "prod/x", "one");
	struct asker *asker = watch(fixture, "prod/x", 1, 50);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "");
	asker_close(asker);
}

static void a_seal_answers_sealed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *other = asker_open(fixture);

	keeper_put(fixture, "prod/x", "one");
	struct asker *asker = watch(fixture, "prod/x", 1, LONG_MS);
	assert_waits(fixture, asker);
	assert_int_equal(ask_plain(fixture, other, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_SEALED);
	begin_watch(asker, "prod/x", 1, LONG_MS);
	assert_int_equal(asker_call(fixture, asker), MORTISE_SEALED);
	asker_close(asker);
	asker_close(other);
}

static void who_may_not_read_is_told_nothing_but_that(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "one");
	keeper_apply(fixture, FIRST "[rule alice]\nallow = list write delete rotate\nsecret = **\n"
				    "user = 1000\n");
	become(ALICE, ALICE);
	struct asker *asker = watch(fixture, "prod/x", 0, LONG_MS);
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	become_root();
	assert_news(asker, "prod/x 0 denied");
	assert_last_line(fixture, "\"op\":\"watch\",\"uid\":1000,\"gid\":1000,\"path\":\"prod/"
				  "x\",\"result\":\"denied\"");
	asker_close(asker);
}

static void a_right_that_goes_while_it_waits_is_told_as_denied(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "one");
	keeper_apply(fixture, FIRST "[rule alice]\nallow = read\nsecret = **\nuser = 1000\n");
	become(ALICE, ALICE);
	struct asker *asker = watch(fixture, "prod/x", 1, LONG_MS);
	assert_waits(fixture, asker);
	become_root();
	keeper_apply(fixture, FIRST "[rule alice]\nallow = read\nsecret = prod/*\nuser = 1000\n");
	assert_waits(fixture, asker);
	keeper_apply(fixture, FIRST "[rule alice]\nallow = read\nsecret = prod/y\nuser = 1000\n");
	assert_int_equal(asker_receive(fixture, asker), MORTISE_OK);
	assert_news(asker, "prod/x 0 denied");
	asker_close(asker);
}

static void malformed_requests_are_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	asker_begin(asker, WIRE_WATCH);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	begin_watch(asker, "prod/../x", 0, 0);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	struct wire_writer *writer = asker_begin(asker, WIRE_WATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);
	for (unsigned i = 0; i <= WIRE_WATCH_MAX; i++) {
		size_t item = wire_item_begin(writer);
		wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
		wire_put_number(writer, WIRE_TAG_VERSION, 0);
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	writer = asker_begin(asker, WIRE_WATCH);
	list = wire_list_begin(writer, WIRE_TAG_ITEMS);
	size_t item = wire_item_begin(writer);
	wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
	wire_item_end(writer, item);
	wire_list_end(writer, list);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	asker_close(asker);
}

/* 1024 paths are one user's share: 16 of the largest watches. */
static void one_user_cannot_watch_everything(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *askers[17];

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST "[rule alice]\nallow = read\nsecret = **\nuser = 1000\n");
	become(ALICE, ALICE);
	for (unsigned i = 0; i < 17; i++) {
		askers[i] = asker_open(fixture);
		struct wire_writer *writer = asker_begin(askers[i], WIRE_WATCH);
		size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);
		for (unsigned k = 0; k < WIRE_WATCH_MAX; k++) {
			size_t item = wire_item_begin(writer);
			wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
			wire_put_number(writer, WIRE_TAG_VERSION, 0);
			wire_item_end(writer, item);
		}
		wire_list_end(writer, list);
		asker_send(askers[i]);
		if (i < 16)
			assert_waits(fixture, askers[i]);
	}
	assert_int_equal(asker_receive(fixture, askers[16]), MORTISE_BUSY);
	assert_string_equal(askers[16]->text,
		"4096 paths are watched at most, and 1024 of one user; watch fewer, or wait");
	become_root();
	struct asker *root = watch(fixture, "prod/x", 0, LONG_MS);
	assert_waits(fixture, root);
	for (unsigned i = 0; i < 17; i++)
		asker_close(askers[i]);
	keeper_put(fixture, "prod/x", "one");
	assert_int_equal(asker_receive(fixture, root), MORTISE_OK);
	assert_news(root, "prod/x 1 ok");
	asker_close(root);
}

static void what_a_watcher_that_left_held_is_free_again(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *other = asker_open(fixture);
	char text[256] = "";

	keeper_put(fixture, "prod/x", "one");
	struct asker *asker = watch(fixture, "prod/x", 1, LONG_MS);
	assert_waits(fixture, asker);
	keeper_fact(fixture, "connections", text);
	unsigned long before = strtoul(text, NULL, 10);
	asker_close(asker);
	for (unsigned i = 0; i < 3000 && strtoul(text, NULL, 10) >= before; i++) {
		(void)poll(NULL, 0, 1);
		keeper_fact(fixture, "connections", text);
	}
	assert_true(text[0] == '\0' || strtoul(text, NULL, 10) < before);
	asker_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(what_differs_already_is_told_at_once),
		WITH_STORE(with_no_time_the_answer_is_what_differs_now),
		WITH_STORE(a_new_version_of_this_secret_and_no_other_is_told),
		WITH_STORE(a_deletion_and_a_secret_that_comes_are_told),
		WITH_STORE(when_the_time_is_over_nothing_has_changed),
		WITH_STORE(a_seal_answers_sealed),
		WITH_STORE(who_may_not_read_is_told_nothing_but_that),
		WITH_STORE(a_right_that_goes_while_it_waits_is_told_as_denied),
		WITH_STORE(malformed_requests_are_refused),
		WITH_STORE(one_user_cannot_watch_everything),
		WITH_STORE(what_a_watcher_that_left_held_is_free_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
