/* SPDX-License-Identifier: ISC */
/* meta, move, rollback, destroy and set-batch, as clients see them; above all who may not. */
#include "keeper_fixture.h"

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"
/* Alice may write and more in some places, and in each lacks something for a move. */
#define ALICES                                                                                     \
	FIRST "[rule all]\nallow = read write delete list\nsecret = own/*\nuser = alice\n"         \
	      "[rule write]\nallow = write\nsecret = blind/*\nuser = alice\n"                      \
	      "[rule nodelete]\nallow = read write\nsecret = keep/*\nuser = alice\n"               \
	      "[rule noread]\nallow = write delete\nsecret = dark/*\nuser = alice\n"               \
	      "[rule nowrite]\nallow = read delete list\nsecret = look/*\nuser = alice\n"

static const char *const folders[] = {"own", "blind", "keep", "dark", "look", "none"};

static uint8_t token[WIRE_TOKEN_SIZE] = {[15] = 7}; /* none of the fixture's */

static struct wire_writer *begin(struct asker *asker, uint16_t opcode, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, opcode);

	token[0]++;
	wire_put_text(writer, WIRE_TAG_PATH, path);
	return writer;
}

static uint16_t meta_text(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	unsigned tag, const char *text)
{
	wire_put_text(begin(asker, WIRE_META, path), tag, text);
	return asker_call(fixture, asker);
}

static uint16_t meta_pair(
	struct keeper_fixture *fixture, struct asker *asker, const char *pair, size_t size)
{
	struct wire_writer *writer = begin(asker, WIRE_META, "own/x");
	size_t mark = wire_list_begin(writer, WIRE_TAG_META);

	wire_item_put(writer, pair, size);
	wire_list_end(writer, mark);
	return asker_call(fixture, asker);
}

static uint16_t move(
	struct keeper_fixture *fixture, struct asker *asker, const char *from, const char *to)
{
	struct wire_writer *writer = begin(asker, WIRE_MOVE, from);

	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	wire_put_text(writer, WIRE_TAG_NAME, to);
	return asker_call(fixture, asker);
}

static uint16_t rollback(
	struct keeper_fixture *fixture, struct asker *asker, const char *path, uint64_t to)
{
	struct wire_writer *writer = begin(asker, WIRE_ROLLBACK, path);

	wire_put_number(writer, WIRE_TAG_VERSION, to);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	return asker_call(fixture, asker);
}

static uint16_t destroy(
	struct keeper_fixture *fixture, struct asker *asker, const char *path, uint64_t version)
{
	struct wire_writer *writer = begin(asker, WIRE_DESTROY, path);

	wire_put_number(writer, version ? WIRE_TAG_VERSION : WIRE_TAG_FORCE, version ? version : 1);
	return asker_call(fixture, asker);
}

/* Values for `count` paths, one of which stands in the middle. */
static uint16_t set_batch(struct keeper_fixture *fixture, struct asker *asker, const char *path,
	unsigned count, bool if_changed)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_SET_BATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);
	char other[32];

	token[0]++;
	for (unsigned i = 0; i < count; i++) {
		size_t item = wire_item_begin(writer);
		snprintf(other, sizeof other, "own/batch-%u", i);
		wire_put_text(writer, WIRE_TAG_PATH, i == count / 2 ? path : other);
		wire_put_text(writer, WIRE_TAG_VALUE, "together");
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	if (if_changed)
		wire_put_number(writer, WIRE_TAG_IF_CHANGED, 1);
	return asker_call(fixture, asker);
}

/* Two versions of folder/x, for each. Then Alice asks. */
static struct asker *as_alice(struct keeper_fixture *fixture)
{
	char path[32];

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		snprintf(path, sizeof path, "%s/x", folders[i]);
		keeper_put(fixture, path, "first");
		keeper_put(fixture, path, "second");
	}
	keeper_apply(fixture, ALICES);
	become(ALICE, ALICE);
	return asker_open(fixture);
}

static void leave(struct asker *asker)
{
	become_root();
	asker_close(asker);
}

/* Whether it exists or not: the same answer, byte for byte but for the id. */
static void denied_alike(struct keeper_fixture *fixture, struct asker *asker,
	uint16_t (*ask)(struct keeper_fixture *, struct asker *, const char *), const char *there,
	const char *missing)
{
	char text[WIRE_TEXT_MAX];

	assert_int_equal(ask(fixture, asker, there), MORTISE_DENIED);
	snprintf(text, sizeof text, "%s", asker->text);
	assert_int_equal(ask(fixture, asker, missing), MORTISE_DENIED);
	assert_string_equal(asker->text, text);
}

static uint16_t ask_note(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	return meta_text(fixture, asker, path, WIRE_TAG_NOTE, "mine");
}

static uint16_t ask_rollback(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	return rollback(fixture, asker, path, 1);
}

static uint16_t ask_destroy(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	return destroy(fixture, asker, path, 1);
}

static uint16_t ask_destroy_all(
	struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	return destroy(fixture, asker, path, 0);
}

static uint16_t ask_move(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	return move(fixture, asker, path, "own/new");
}

static uint16_t ask_move_to(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	return move(fixture, asker, "own/x", path);
}

static void who_may_not_is_told_nothing_of_what_exists(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	struct asker *asker = as_alice(fixture);
	denied_alike(fixture, asker, ask_note, "look/x", "look/y");
	denied_alike(fixture, asker, ask_rollback, "look/x", "look/y");
	denied_alike(fixture, asker, ask_destroy, "keep/x", "keep/y");
	denied_alike(fixture, asker, ask_destroy_all, "keep/x", "keep/y");
	for (size_t i = 1; i < sizeof folders / sizeof folders[0]; i++) {
		char there[32], missing[32];
		snprintf(there, sizeof there, "%s/x", folders[i]);
		snprintf(missing, sizeof missing, "%s/y", folders[i]);
		denied_alike(fixture, asker, ask_move, there, missing);
	}
	denied_alike(fixture, asker, ask_move_to, "look/x", "look/y");
	denied_alike(fixture, asker, ask_move_to, "none/x", "none/y");
	leave(asker);
}

static void who_may_does(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct wire_field value;

	NEEDS_ROOT();
	struct asker *asker = as_alice(fixture);
	assert_int_equal(ask_note(fixture, asker, "blind/x"), MORTISE_OK);
	assert_int_equal(rollback(fixture, asker, "blind/x", 1), MORTISE_OK);
	assert_int_equal(rollback(fixture, asker, "own/x", 9), MORTISE_NOT_FOUND);
	assert_int_equal(move(fixture, asker, "own/x", "own/x"), MORTISE_CONFLICT);
	assert_int_equal(move(fixture, asker, "own/x", "blind/new"), MORTISE_OK);
	assert_int_equal(move(fixture, asker, "own/x", "own/other"), MORTISE_NOT_FOUND);
	assert_int_equal(destroy(fixture, asker, "look/x", 2), MORTISE_CONFLICT);
	assert_int_equal(destroy(fixture, asker, "look/x", 1), MORTISE_OK);
	assert_int_equal(destroy(fixture, asker, "look/x", 0), MORTISE_CONFLICT);
	assert_int_equal(ask_path(fixture, asker, WIRE_DELETE, "look/x"), MORTISE_OK);
	assert_int_equal(destroy(fixture, asker, "look/x", 0), MORTISE_OK);
	assert_int_equal(ask_path(fixture, asker, WIRE_SHOW, "look/x"), MORTISE_NOT_FOUND);
	leave(asker);
	asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "blind/new", &value), MORTISE_OK);
	assert_memory_equal(value.bytes, "second", 6);
	asker_close(asker);
}

/* Others will run it: a writer of the secret must not choose what root's timer executes. */
static void a_hook_is_set_by_admins_only(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	struct asker *asker = as_alice(fixture);
	assert_int_equal(
		meta_text(fixture, asker, "own/x", WIRE_TAG_HOOK, "/tmp/evil"), MORTISE_DENIED);
	assert_int_equal(
		meta_text(fixture, asker, "own/nothing", WIRE_TAG_HOOK, ""), MORTISE_DENIED);
	leave(asker);
	asker = asker_open(fixture);
	assert_int_equal(
		meta_text(fixture, asker, "own/x", WIRE_TAG_HOOK, "/usr/bin/rotate"), MORTISE_OK);
	assert_int_equal(
		meta_text(fixture, asker, "own/x", WIRE_TAG_HOOK, "rotate"), MORTISE_INVALID);
	asker_close(asker);
}

static void a_batch_is_set_whole_or_not_at_all(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	struct asker *asker = as_alice(fixture);
	assert_int_equal(set_batch(fixture, asker, "look/x", 5, false), MORTISE_DENIED);
	assert_non_null(strstr(asker->text, "look/x: denied"));
	assert_int_equal(set_batch(fixture, asker, "look/y", 5, false), MORTISE_DENIED);
	assert_int_equal(ask_path(fixture, asker, WIRE_SHOW, "own/batch-0"), MORTISE_NOT_FOUND);
	/* Whether a value is the same is told to who may read it. */
	assert_int_equal(set_batch(fixture, asker, "blind/x", 5, true), MORTISE_DENIED);
	assert_int_equal(set_batch(fixture, asker, "blind/x", 5, false), MORTISE_OK);
	assert_int_equal(ask_path(fixture, asker, WIRE_SHOW, "own/batch-4"), MORTISE_OK);
	leave(asker);
}

static void a_batch_has_bounds(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	assert_int_equal(set_batch(fixture, asker, "x/y", 256, false), MORTISE_OK);
	assert_int_equal(set_batch(fixture, asker, "x/y", 257, false), MORTISE_INVALID);
	assert_int_equal(set_batch(fixture, asker, "x/y", 0, false), MORTISE_INVALID);
	assert_int_equal(set_batch(fixture, asker, "own/batch-0", 3, false), MORTISE_INVALID);
	assert_int_equal(set_batch(fixture, asker, "no//path", 3, false), MORTISE_INVALID);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SET_BATCH), MORTISE_INVALID);
	asker_close(asker);
}

static void what_is_said_is_bounded_and_one_line(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	char pair[400], key[8];

	keeper_put(fixture, "own/x", "value");
	memset(pair, 'k', sizeof pair);
	assert_int_equal(meta_pair(fixture, asker, pair, 33), MORTISE_INVALID);
	pair[32] = '=';
	assert_int_equal(meta_pair(fixture, asker, pair, 33 + 256), MORTISE_OK);
	assert_int_equal(meta_pair(fixture, asker, pair, 33 + 257), MORTISE_INVALID);
	assert_int_equal(meta_pair(fixture, asker, "k=\0", 3), MORTISE_INVALID);
	assert_int_equal(
		meta_pair(fixture, asker, "", 0), MORTISE_OK); /* no such key to take away */
	assert_int_equal(meta_pair(fixture, asker, "=v", 2), MORTISE_INVALID);
	assert_int_equal(meta_pair(fixture, asker, "K=v", 3), MORTISE_INVALID);
	assert_int_equal(meta_pair(fixture, asker, "k=a\nb", 5), MORTISE_INVALID);
	for (unsigned i = 0; i < 15; i++) {
		snprintf(key, sizeof key, "k%u=v", i);
		assert_int_equal(meta_pair(fixture, asker, key, strlen(key)), MORTISE_OK);
	}
	assert_int_equal(meta_pair(fixture, asker, "more=v", 6), MORTISE_INVALID);
	assert_int_equal(meta_pair(fixture, asker, "k3", 2), MORTISE_OK);
	assert_int_equal(meta_pair(fixture, asker, "more=v", 6), MORTISE_OK);
	assert_int_equal(
		meta_text(fixture, asker, "own/x", WIRE_TAG_NOTE, "two\nlines"), MORTISE_INVALID);
	assert_int_equal(
		meta_text(fixture, asker, "own/none", WIRE_TAG_NOTE, "x"), MORTISE_NOT_FOUND);
	asker_close(asker);
}

static uint16_t set_note(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	struct wire_writer *writer = begin(asker, WIRE_SET, "own/x");

	wire_put(writer, WIRE_TAG_VALUE, "v", 1);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	wire_put_text(writer, WIRE_TAG_NOTE, text);
	return asker_call(fixture, asker);
}

static uint16_t meta_note(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	return meta_text(fixture, asker, "own/x", WIRE_TAG_NOTE, text);
}

static uint16_t meta_hook(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	char hook[64];

	snprintf(hook, sizeof hook, "/bin/%s", text);
	return meta_text(fixture, asker, "own/x", WIRE_TAG_HOOK, hook);
}

static uint16_t meta_value(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	char pair[64];
	int size = snprintf(pair, sizeof pair, "k=%s", text);

	return meta_pair(fixture, asker, pair, (size_t)size);
}

static uint16_t clock_note(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	wire_put_text(asker_begin(asker, WIRE_CLOCK_ACCEPT), WIRE_TAG_NOTE, text);
	return asker_call(fixture, asker);
}

static uint16_t audit_note(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	wire_put_text(asker_begin(asker, WIRE_AUDIT_ACKNOWLEDGE), WIRE_TAG_NOTE, text);
	return asker_call(fixture, asker);
}

static uint16_t file_name(struct keeper_fixture *fixture, struct asker *asker, const char *text)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_POLICY_STAGE);

	wire_put_text(writer, WIRE_TAG_NAME, text);
	wire_put(writer, WIRE_TAG_CHUNK, ";", 1);
	wire_put_number(writer, WIRE_TAG_OFFSET, 0);
	return asker_call(fixture, asker);
}

/* Whatever takes words that are kept. */
static void words_that_would_steer_a_terminal_are_refused_at_every_door(void **state)
{
	typedef uint16_t door(struct keeper_fixture *, struct asker *, const char *);
	static door *const doors[] = {
		set_note, meta_note, meta_hook, meta_value, clock_note, audit_note, file_name};
	static const char *const hostile[] = {"two\nlines", "\x1b[2J", "\x7f",
		"a\xc2\x9b"
		"31m",
		"a\xe2\x80\xae"
		"b",
		"\xe2\x80\xa8", "\xe2\x81\xa6", "\xd8\x9c", "\x9b", "caf\xe9", "\xe2\x82",
		"\xc0\xaf", "\xed\xa0\x80"};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "own/x", "value");
	for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++) {
		for (size_t j = 0; j < sizeof hostile / sizeof hostile[0]; j++) {
			assert_int_equal(doors[i](fixture, asker, hostile[j]), MORTISE_INVALID);
			assert_non_null(strstr(asker->text, "UTF-8"));
		}
		assert_int_equal(doors[i](fixture, asker, "caf\xc3\xa9 \xe2\x82\xac"), MORTISE_OK);
	}
	asker_close(asker);
}

static void a_malformed_request_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_put(fixture, "own/x", "value");
	assert_int_equal(ask_path(fixture, asker, WIRE_MOVE, "own/x"), MORTISE_INVALID);
	assert_int_equal(move(fixture, asker, "own/x", "No Path"), MORTISE_INVALID);
	wire_put_text(begin(asker, WIRE_MOVE, "own/x"), WIRE_TAG_NAME, "own/y"); /* no token */
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_int_equal(ask_path(fixture, asker, WIRE_ROLLBACK, "own/x"), MORTISE_INVALID);
	assert_int_equal(ask_path(fixture, asker, WIRE_DESTROY, "own/x"), MORTISE_INVALID);
	wire_put_number(begin(asker, WIRE_DESTROY, "own/x"), WIRE_TAG_FORCE, 2);
	assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
	assert_int_equal(ask_plain(fixture, asker, WIRE_META), MORTISE_INVALID);
	assert_int_equal(ask_get(fixture, asker, "own/x", NULL), MORTISE_OK);
	asker_close(asker);
}

static void both_paths_of_a_move_are_on_record(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_put(fixture, "own/x", "value");
	assert_int_equal(move(fixture, asker, "own/x", "own/y"), MORTISE_OK);
	assert_true(keeper_log_has(fixture, "\"op\":\"move\""));
	assert_true(keeper_log_has(fixture, "own/y"));
	assert_last_line(fixture,
		"\"op\":\"move\",\"uid\":0,\"gid\":0,\"path\":\"own/x\",\"version\":1,"
		"\"rule\":\"first\",\"result\":\"ok\"");
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(who_may_not_is_told_nothing_of_what_exists),
		WITH_STORE(who_may_does),
		WITH_STORE(a_hook_is_set_by_admins_only),
		WITH_STORE(a_batch_is_set_whole_or_not_at_all),
		WITH_STORE(a_batch_has_bounds),
		WITH_STORE(what_is_said_is_bounded_and_one_line),
		WITH_STORE(words_that_would_steer_a_terminal_are_refused_at_every_door),
		WITH_STORE(a_malformed_request_is_refused),
		WITH_STORE(both_paths_of_a_move_are_on_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
