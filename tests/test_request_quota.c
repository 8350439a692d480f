/* SPDX-License-Identifier: ISC */
/* Quotas, as who writes meets them: every request that adds something to keep. */
#include "keeper_fixture.h"

#define RULES                                                                                      \
	"[rule root]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"  \
	"[rule alice]\nallow = read list write delete rotate\nsecret = **\nuser = 1000\n"          \
	"[rule bob]\nallow = read list write delete rotate\nsecret = **\nuser = 1001\n"

static uint8_t token[WIRE_TOKEN_SIZE] = {0x51};
static uint8_t value[MORTISE_VALUE_MAX];

/* Who asks is as the kernel says it of each message. */
static struct user {
	struct asker *asker;
	uint32_t uid;
} users[3];

static void act(const struct asker *asker)
{
	for (size_t i = 0; i < sizeof users / sizeof users[0]; i++)
		if (users[i].asker == asker && users[i].uid)
			become(users[i].uid, users[i].uid);
}

static struct asker *open_as(struct keeper_fixture *fixture, uint32_t uid)
{
	struct user *user = &users[uid - ALICE];

	become(uid, uid);
	*user = (struct user){asker_open(fixture), uid};
	assert_int_equal(ask_plain(fixture, user->asker, WIRE_WHOAMI), MORTISE_OK);
	become_root();
	return user->asker;
}

static uint16_t call(struct keeper_fixture *fixture, struct asker *asker)
{
	act(asker);
	uint16_t code = asker_call(fixture, asker);
	become_root();
	return code;
}

static void apply(struct keeper_fixture *fixture, const char *quotas)
{
	char text[1024];

	assert_true(snprintf(text, sizeof text, RULES "%s", quotas) < (int)sizeof text);
	keeper_apply(fixture, text);
}

static uint16_t set(
	struct keeper_fixture *fixture, struct asker *asker, const char *path, size_t size)
{
	act(asker);
	uint16_t code = ask_set(fixture, asker, path, value, size);
	become_root();
	return code;
}

static struct wire_writer *begin(struct asker *asker, uint16_t opcode, const char *path)
{
	struct wire_writer *writer = asker_begin(asker, opcode);

	token[1]++;
	wire_put_text(writer, WIRE_TAG_PATH, path);
	return writer;
}

static uint16_t move(
	struct keeper_fixture *fixture, struct asker *asker, const char *from, const char *to)
{
	struct wire_writer *writer = begin(asker, WIRE_MOVE, from);

	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	wire_put_text(writer, WIRE_TAG_NAME, to);
	return call(fixture, asker);
}

static uint16_t rollback(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	struct wire_writer *writer = begin(asker, WIRE_ROLLBACK, path);

	wire_put_number(writer, WIRE_TAG_VERSION, 1);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	return call(fixture, asker);
}

static uint16_t rotate(
	struct keeper_fixture *fixture, struct asker *asker, const char *path, size_t size)
{
	struct wire_writer *writer = begin(asker, WIRE_ROTATE, path);

	wire_put(writer, WIRE_TAG_VALUE, value, size);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	wire_put_number(writer, WIRE_TAG_NUMBER, 1);
	return call(fixture, asker);
}

static uint16_t set_batch(struct keeper_fixture *fixture, struct asker *asker, unsigned count)
{
	struct wire_writer *writer = asker_begin(asker, WIRE_SET_BATCH);
	size_t list = wire_list_begin(writer, WIRE_TAG_ITEMS);
	char path[32];

	token[1]++;
	for (unsigned i = 0; i < count; i++) {
		size_t item = wire_item_begin(writer);
		snprintf(path, sizeof path, "dev/batch-%u", i);
		wire_put_text(writer, WIRE_TAG_PATH, path);
		wire_put_text(writer, WIRE_TAG_VALUE, "v");
		wire_item_end(writer, item);
	}
	wire_list_end(writer, list);
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	return call(fixture, asker);
}

static void assert_refused(uint16_t code, const struct asker *asker, const char *title)
{
	if (code != MORTISE_DENIED || !strstr(asker->text, title))
		fail_msg("%u (%s)", code, asker->text);
}

static void a_set_beyond_the_number_or_the_size_is_refused_and_one_below_is_not(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	apply(fixture, "[quota dev]\nsecret = dev/**\nsecrets = 2\nsize = 64K\n");
	asker = open_as(fixture, ALICE);
	assert_int_equal(set(fixture, asker, "dev/a", 10), MORTISE_OK);
	assert_int_equal(set(fixture, asker, "dev/b", 10), MORTISE_OK);
	assert_refused(set(fixture, asker, "dev/c", 10), asker, "quota dev allows (2 secrets)");
	assert_refused(set(fixture, asker, "dev/a", 64000), asker, "quota dev allows (65536 bytes");
	assert_int_equal(set(fixture, asker, "dev/a", 63000), MORTISE_OK);
	assert_int_equal(set(fixture, asker, "prod/c", 64000), MORTISE_OK);
	asker_close(asker);
}

static void a_quota_of_paths_is_for_all_together_and_one_of_users_for_each(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *alice, *bob;

	NEEDS_ROOT();
	apply(fixture, "[quota dev]\nsecret = dev/**\nsecrets = 1\n"
		       "[quota some]\nuser = 1000 1001\nsecret = some/**\nsecrets = 1\n");
	alice = open_as(fixture, ALICE);
	bob = open_as(fixture, ALICE + 1);
	assert_int_equal(set(fixture, alice, "dev/a", 1), MORTISE_OK);
	assert_refused(set(fixture, bob, "dev/b", 1), bob, "quota dev");
	assert_int_equal(set(fixture, alice, "some/a", 1), MORTISE_OK);
	assert_int_equal(set(fixture, bob, "some/b", 1), MORTISE_OK);
	assert_refused(set(fixture, bob, "some/c", 1), bob, "quota some");
	asker_close(alice);
	asker_close(bob);
}

/* Each of what adds something, at a quota that is used up but for 100 bytes. */
static void whatever_adds_a_version_is_counted(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	apply(fixture, "");
	asker = open_as(fixture, ALICE);
	assert_int_equal(set(fixture, asker, "dev/a", 2000), MORTISE_OK);
	assert_int_equal(set(fixture, asker, "dev/a", 10), MORTISE_OK);
	assert_int_equal(set(fixture, asker, "prod/x", 10), MORTISE_OK);
	apply(fixture, "[quota dev]\nsecret = dev/**\nsize = 3134\n");
	assert_refused(set(fixture, asker, "dev/a", 10), asker, "quota dev");
	assert_refused(rollback(fixture, asker, "dev/a"), asker, "quota dev");
	assert_refused(rotate(fixture, asker, "dev/a", 10), asker, "quota dev");
	assert_refused(move(fixture, asker, "prod/x", "dev/x"), asker, "quota dev");
	assert_refused(set_batch(fixture, asker, 1), asker, "quota dev");
	assert_int_equal(move(fixture, asker, "dev/a", "dev/b"), MORTISE_OK);
	apply(fixture, "[quota dev]\nsecret = dev/**\nsize = 10K\n");
	assert_int_equal(move(fixture, asker, "prod/x", "dev/x"), MORTISE_OK);
	assert_int_equal(rollback(fixture, asker, "dev/b"), MORTISE_OK);
	assert_int_equal(rotate(fixture, asker, "dev/b", 10), MORTISE_OK);
	asker_close(asker);
}

static void values_that_come_together_are_counted_together(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	apply(fixture, "[quota dev]\nsecret = dev/**\nsecrets = 5\n");
	asker = open_as(fixture, ALICE);
	assert_refused(set_batch(fixture, asker, 6), asker, "dev/batch-5: it would be more");
	assert_int_equal(set_batch(fixture, asker, 5), MORTISE_OK);
	asker_close(asker);
}

static void what_is_destroyed_makes_room_and_what_is_deleted_does_not(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	apply(fixture, "[quota dev]\nsecret = dev/**\nsecrets = 1\n");
	asker = open_as(fixture, ALICE);
	assert_int_equal(set(fixture, asker, "dev/a", 1), MORTISE_OK);
	wire_put_text(asker_begin(asker, WIRE_DELETE), WIRE_TAG_PATH, "dev/a");
	assert_int_equal(call(fixture, asker), MORTISE_OK);
	assert_refused(set(fixture, asker, "dev/b", 1), asker, "quota dev");
	wire_put_text(asker_begin(asker, WIRE_DESTROY), WIRE_TAG_PATH, "dev/a");
	wire_put_number(&asker->writer, WIRE_TAG_FORCE, 1);
	assert_int_equal(call(fixture, asker), MORTISE_OK);
	assert_int_equal(set(fixture, asker, "dev/b", 1), MORTISE_OK);
	asker_close(asker);
}

/* Whoever sent a write and lost the answer asks again. */
static void a_write_that_was_made_is_not_refused_when_it_is_repeated(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	apply(fixture, "[quota dev]\nsecret = dev/**\nsize = 700\n");
	asker = open_as(fixture, ALICE);
	for (unsigned i = 0; i < 2; i++) {
		struct wire_writer *writer = asker_begin(asker, WIRE_SET);
		wire_put_text(writer, WIRE_TAG_PATH, "dev/a");
		wire_put(writer, WIRE_TAG_VALUE, value, 10);
		wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
		assert_int_equal(call(fixture, asker), MORTISE_OK);
	}
	asker_close(asker);
}

static void the_default_is_for_each_user_but_administrators(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *root, *alice, *bob;

	NEEDS_ROOT();
	apply(fixture, "[quota default]\nsecrets = 1\n");
	root = asker_open(fixture);
	assert_int_equal(ask_plain(fixture, root, WIRE_WHOAMI), MORTISE_OK);
	alice = open_as(fixture, ALICE);
	bob = open_as(fixture, ALICE + 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(set(fixture, root, i ? "r/a" : "r/b", 1), MORTISE_OK);
		assert_int_equal(set(fixture, alice, "a/a", 1), MORTISE_OK);
		assert_int_equal(set(fixture, bob, "b/a", 1), MORTISE_OK);
	}
	assert_refused(set(fixture, alice, "a/b", 1), alice, "quota default allows (1 secrets");
	asker_close(root);
	asker_close(alice);
	asker_close(bob);
}

static void after_a_restart_what_was_kept_is_counted(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	apply(fixture, "[quota dev]\nsecret = dev/**\nsecrets = 1\n");
	asker = open_as(fixture, ALICE);
	assert_int_equal(set(fixture, asker, "dev/a", 1), MORTISE_OK);
	asker_close(asker);
	keeper_restart(fixture);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	asker_close(asker);
	asker = open_as(fixture, ALICE);
	assert_refused(set(fixture, asker, "dev/b", 1), asker, "quota dev");
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_set_beyond_the_number_or_the_size_is_refused_and_one_below_is_not),
		WITH_STORE(a_quota_of_paths_is_for_all_together_and_one_of_users_for_each),
		WITH_STORE(whatever_adds_a_version_is_counted),
		WITH_STORE(values_that_come_together_are_counted_together),
		WITH_STORE(what_is_destroyed_makes_room_and_what_is_deleted_does_not),
		WITH_STORE(a_write_that_was_made_is_not_refused_when_it_is_repeated),
		WITH_STORE(the_default_is_for_each_user_but_administrators),
		WITH_STORE(after_a_restart_what_was_kept_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
