/* SPDX-License-Identifier: ISC */
/* Who may ask what, in which state, and what of it stands in the audit log. */
#include "keeper_fixture.h"

/* That no request has. */
#define NO_TAG 40

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"
#define READER FIRST "[rule reader]\nallow = read\nsecret = prod/**\nuser = 34\n"

enum { ROOT, AGENT, OPERATOR_GROUP, READER_ONLY, NOBODY_MUCH, CALLERS };

static void become_caller(unsigned caller)
{
	static const struct {
		uint32_t uid, gid;
	} ids[] = {{0, 0}, {KEEPER_AGENT_UID, KEEPER_AGENT_UID}, {ALICE, KEEPER_OPERATORS},
		{BACKUP, BACKUP}, {ALICE, ALICE}};

	if (caller == ROOT)
		become_root();
	else
		become(ids[caller].uid, ids[caller].gid);
}

/* The least that is a whole request; nothing is changed by it. */
static void begin(struct asker *asker, uint16_t opcode)
{
	static const uint8_t token[WIRE_TOKEN_SIZE] = {9};
	struct wire_writer *writer = asker_begin(asker, opcode);

	if (opcode == WIRE_GET) {
		begin_get(asker, "prod/x");
		return;
	}
	if (opcode == WIRE_SET || opcode == WIRE_SHOW || opcode == WIRE_DELETE ||
		opcode == WIRE_UNDELETE)
		wire_put_text(writer, WIRE_TAG_PATH, "prod/x");
	if (opcode == WIRE_SET)
		wire_put_text(writer, WIRE_TAG_VALUE, "new");
	if (opcode == WIRE_SET || opcode == WIRE_POLICY_APPLY)
		wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	if (opcode == WIRE_POLICY_STAGE)
		wire_put_text(writer, WIRE_TAG_NAME, "p");
	if (opcode == WIRE_POLICY_CHECK)
		wire_put_text(writer, WIRE_TAG_VERB, "admin");
	if (opcode == WIRE_INIT)
		wire_put_text(writer, WIRE_TAG_SLOT_KIND, "none");
	if (opcode == WIRE_INIT || opcode == WIRE_SEAL || opcode == WIRE_SET ||
		opcode == WIRE_DELETE || opcode == WIRE_UNDELETE)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (opcode == WIRE_POLICY_STAGE)
		wire_put_number(writer, WIRE_TAG_OFFSET, 0);
}

struct row {
	uint16_t opcode;
	uint16_t code[CALLERS];
};

#define OK       MORTISE_OK
#define DENIED   MORTISE_DENIED
#define CONFLICT MORTISE_CONFLICT
#define SEALED   MORTISE_SEALED
#define INVALID  MORTISE_INVALID
#define ALL(x)                                                                                     \
	{                                                                                          \
		x, x, x, x, x                                                                      \
	}
#define OPERATORS(x)                                                                               \
	{                                                                                          \
		x, x, x, DENIED, DENIED                                                            \
	}
#define FOR_ROOT(x)                                                                                \
	{                                                                                          \
		x, DENIED, DENIED, DENIED, DENIED                                                  \
	}

static void assert_rows(struct keeper_fixture *fixture, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (unsigned caller = 0; caller < CALLERS; caller++) {
			become_caller(caller);
			struct asker *asker = asker_open(fixture);
			begin(asker, rows[i].opcode);
			uint16_t code = asker_call(fixture, asker);
			become_root();
			if (code != rows[i].code[caller])
				fail_msg("opcode %u, caller %u: %u (%s), not %u", rows[i].opcode,
					caller, code, asker->text, rows[i].code[caller]);
			asker_close(asker);
		}
}

static const uint16_t opcodes[] = {WIRE_HELLO, WIRE_STATUS, WIRE_WHOAMI, WIRE_INIT, WIRE_UNSEAL,
	WIRE_SEAL, WIRE_GET, WIRE_SET, WIRE_LIST, WIRE_SHOW, WIRE_DELETE, WIRE_UNDELETE,
	WIRE_POLICY_STAGE, WIRE_POLICY_APPLY, WIRE_POLICY_SHOW, WIRE_POLICY_CHECK, WIRE_AUDIT_SHOW,
	WIRE_AUDIT_VERIFY, WIRE_AUDIT_KEY, WIRE_VERIFY};

static void the_table_holds_while_unsealed(void **state)
{
	static const struct row rows[] = {
		{WIRE_HELLO, ALL(OK)},
		{WIRE_STATUS, ALL(OK)},
		{WIRE_WHOAMI, ALL(OK)},
		{WIRE_INIT, OPERATORS(CONFLICT)},
		{WIRE_UNSEAL, OPERATORS(OK)},
		{WIRE_SEAL, FOR_ROOT(OK)},
		{WIRE_GET, ALL(OK)},
		{WIRE_SET, FOR_ROOT(OK)},
		{WIRE_LIST, ALL(OK)},
		{WIRE_SHOW, FOR_ROOT(OK)},
		{WIRE_DELETE, FOR_ROOT(OK)},
		{WIRE_UNDELETE, FOR_ROOT(OK)},
		{WIRE_POLICY_STAGE, FOR_ROOT(OK)},
		{WIRE_POLICY_APPLY, FOR_ROOT(INVALID)},
		{WIRE_POLICY_SHOW, FOR_ROOT(OK)},
		{WIRE_POLICY_CHECK, FOR_ROOT(OK)},
		{WIRE_AUDIT_SHOW, FOR_ROOT(OK)},
		{WIRE_AUDIT_VERIFY, FOR_ROOT(OK)},
		{WIRE_AUDIT_KEY, FOR_ROOT(OK)},
		{WIRE_VERIFY, FOR_ROOT(OK)},
		{WIRE_GATEWAY, ALL(INVALID)},
		{0, ALL(INVALID)},
		{7, ALL(INVALID)},
		{65535, ALL(INVALID)},
	};

	NEEDS_ROOT();
	keeper_put(*state, "prod/x", "value");
	keeper_apply(*state, READER);
	assert_rows(*state, rows, sizeof rows / sizeof rows[0]);
}

static void the_table_holds_while_sealed(void **state)
{
	static const struct row rows[] = {
		{WIRE_HELLO, ALL(OK)},
		{WIRE_STATUS, ALL(OK)},
		{WIRE_WHOAMI, ALL(OK)},
		{WIRE_INIT, OPERATORS(CONFLICT)},
		{WIRE_UNSEAL, OPERATORS(MORTISE_HARDWARE)},
		{WIRE_SEAL, OPERATORS(OK)},
	};
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_restart(fixture);
	keeper_await_state(fixture, "sealed: ");
	assert_rows(fixture, rows, sizeof rows / sizeof rows[0]);
	for (size_t i = 6; i < sizeof opcodes / sizeof opcodes[0]; i++)
		assert_rows(fixture, &(struct row){opcodes[i], ALL(SEALED)}, 1);
}

static void the_table_holds_before_init(void **state)
{
	static const struct row rows[] = {
		{WIRE_HELLO, ALL(OK)},
		{WIRE_STATUS, ALL(OK)},
		{WIRE_WHOAMI, ALL(OK)},
		{WIRE_INIT, OPERATORS(OK)},
		{WIRE_UNSEAL, OPERATORS(CONFLICT)},
	};

	NEEDS_ROOT();
	assert_rows(*state, rows, sizeof rows / sizeof rows[0]);
	for (size_t i = 6; i < sizeof opcodes / sizeof opcodes[0]; i++)
		assert_rows(*state, &(struct row){opcodes[i], ALL(SEALED)}, 1);
}

static void a_field_that_a_request_does_not_take_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
		struct asker *asker = asker_open(fixture);
		begin(asker, opcodes[i]);
		wire_put_text(&asker->writer, NO_TAG, "x");
		assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
		asker_close(asker);
	}
}

static void a_request_without_its_path_is_refused(void **state)
{
	const uint16_t with_path[] = {WIRE_SET, WIRE_SHOW, WIRE_DELETE, WIRE_UNDELETE, WIRE_GET};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	for (size_t i = 0; i < 5; i++)
		assert_int_equal(ask_plain(fixture, asker, with_path[i]), MORTISE_INVALID);
	asker_close(asker);
}

static void what_is_no_path_is_refused_never_mended(void **state)
{
	static const char *const wrong[] = {"", "/", "/prod", "prod/", "prod//x", "../x",
		"prod/../x", "Prod/x", "prod/.x", "prod/x ", "1/2/3/4/5/6/7/8/9"};
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(ask_path(fixture, asker, WIRE_SHOW, wrong[i]), MORTISE_INVALID);
		assert_int_equal(ask_set(fixture, asker, wrong[i], "v", 1), MORTISE_INVALID);
		assert_int_equal(ask_get(fixture, asker, wrong[i], NULL), MORTISE_INVALID);
	}
	asker_close(asker);
}

/* The clock of LIST's answer tells nothing of secrets. */
static void take_out_time(struct asker *asker)
{
	const struct wire_field *now = wire_field_of(&asker->reply, WIRE_TAG_TIME);

	if (now->bytes)
		memset(asker->in + (now->bytes - asker->in), 0, now->size);
}

/* Sends the same frame twice, once with the secret there and once without. */
static void assert_same_answer(struct keeper_fixture *fixture, uint16_t opcode)
{
	static uint8_t first[WIRE_FRAME_MAX];
	size_t size = 0;

	for (unsigned round = 0; round < 2; round++) {
		if (round == 1)
			keeper_put(fixture, "prod/x", "value");
		become(ALICE, ALICE);
		struct asker *asker = asker_open(fixture);
		begin(asker, opcode);
		if (asker_call(fixture, asker) == MORTISE_OK)
			take_out_time(asker);
		become_root();
		if (round == 1) {
			assert_int_equal(asker->size, size);
			assert_memory_equal(asker->in, first, size);
		}
		size = asker->size;
		memcpy(first, asker->in, size);
		asker_close(asker);
	}
}

static void get_tells_the_denied_nothing(void **state)
{
	NEEDS_ROOT();
	assert_same_answer(*state, WIRE_GET);
}

static void show_tells_the_denied_nothing(void **state)
{
	NEEDS_ROOT();
	assert_same_answer(*state, WIRE_SHOW);
}

static void set_tells_the_denied_nothing(void **state)
{
	NEEDS_ROOT();
	assert_same_answer(*state, WIRE_SET);
}

static void delete_tells_the_denied_nothing(void **state)
{
	NEEDS_ROOT();
	assert_same_answer(*state, WIRE_DELETE);
}

static void undelete_tells_the_denied_nothing(void **state)
{
	NEEDS_ROOT();
	assert_same_answer(*state, WIRE_UNDELETE);
}

static void list_tells_the_denied_nothing(void **state)
{
	NEEDS_ROOT();
	assert_same_answer(*state, WIRE_LIST);
}

static void why_it_is_sealed_is_for_operators(void **state)
{
	struct keeper_fixture *fixture = *state;
	char operator_text[WIRE_TEXT_MAX];

	NEEDS_ROOT();
	keeper_restart(fixture);
	keeper_await_state(fixture, "sealed: ");
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_SEALED);
	memcpy(operator_text, asker->text, sizeof operator_text);
	asker_close(asker);
	become(ALICE, ALICE);
	asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_SEALED);
	become_root();
	assert_string_equal(asker->text, "sealed");
	assert_non_null(strstr(operator_text, fixture->key_id));
	asker_close(asker);
}

/* ---- the record ---- */

static void what_was_done_stands_in_the_log_with_path_version_rule_and_result(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

#define BY_ROOT(op) "\"op\":\"" op "\",\"uid\":0,\"gid\":0,"
	NEEDS_ROOT();
	(void)ask_set(fixture, asker, "prod/x", "v", 1);
	(void)ask_set(fixture, asker, "prod/x", "w", 1);
	assert_last_line(fixture,
		BY_ROOT("set") "\"path\":\"prod/x\",\"version\":2,\"rule\":\"first\","
			       "\"result\":\"ok\"");
	(void)ask_get(fixture, asker, "prod/x", NULL);
	assert_last_line(fixture,
		BY_ROOT("get") "\"path\":\"prod/x\",\"version\":2,\"rule\":\"first\","
			       "\"result\":\"ok\"");
	(void)ask_get(fixture, asker, "prod/y", NULL);
	assert_last_line(fixture,
		BY_ROOT("get") "\"path\":\"prod/y\",\"rule\":\"first\",\"result\":\"not-found\"");
	(void)ask_path(fixture, asker, WIRE_SHOW, "prod/x");
	assert_last_line(fixture,
		BY_ROOT("show") "\"path\":\"prod/x\",\"rule\":\"first\",\"result\":\"ok\"");
	(void)ask_path(fixture, asker, WIRE_DELETE, "prod/x");
	assert_last_line(fixture, BY_ROOT("delete") "\"path\":\"prod/x\",\"version\":2,"
						    "\"rule\":\"first\",\"result\":\"ok\"");
	(void)ask_path(fixture, asker, WIRE_UNDELETE, "prod/x");
	assert_last_line(fixture, BY_ROOT("undelete") "\"path\":\"prod/x\",\"version\":2,"
						      "\"rule\":\"first\",\"result\":\"ok\"");
	(void)ask_plain(fixture, asker, WIRE_LIST);
	assert_last_line(fixture, BY_ROOT("list") "\"result\":\"ok\"");
	(void)ask_plain(fixture, asker, WIRE_AUDIT_SHOW);
	assert_last_line(fixture, BY_ROOT("audit-show") "\"rule\":\"first\",\"result\":\"ok\"");
	(void)ask_plain(fixture, asker, WIRE_VERIFY);
	assert_last_line(fixture, BY_ROOT("verify") "\"rule\":\"first\",\"result\":\"ok\"");
	(void)ask_plain(fixture, asker, WIRE_SEAL);
	assert_last_line(fixture, BY_ROOT("seal") "\"rule\":\"first\",\"result\":\"ok\"");
	asker_close(asker);
}

static void every_denial_stands_in_the_log(void **state)
{
	static const struct {
		uint16_t opcode;
		const char *name;
		const char *rest;
	} denied[] = {
		{WIRE_GET, "get", "\"path\":\"prod/x\","},
		{WIRE_SHOW, "show", "\"path\":\"prod/x\","},
		{WIRE_INIT, "init", ""},
		{WIRE_UNSEAL, "unseal", ""},
		{WIRE_POLICY_STAGE, "policy-stage", ""},
		{WIRE_POLICY_APPLY, "policy-apply", ""},
		{WIRE_AUDIT_KEY, "audit-key", ""},
	};
	struct keeper_fixture *fixture = *state;
	char expected[256];

	NEEDS_ROOT();
	for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
		become(ALICE, ALICE);
		struct asker *asker = asker_open(fixture);
		begin(asker, denied[i].opcode);
		(void)asker_call(fixture, asker);
		become_root();
		asker_close(asker);
		snprintf(expected, sizeof expected,
			"\"op\":\"%s\",\"uid\":1000,\"gid\":1000,%s\"result\":\"denied\"",
			denied[i].name, denied[i].rest);
		assert_last_line(fixture, expected);
	}
}

/* ---- when the log cannot be written ---- */

static void without_a_line_nothing_is_released_and_then_it_recovers(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "canary-value");
	keeper_stop_log(fixture);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_BUSY);
		assert_null(memmem(asker->in, asker->size, "canary", 6));
	}
	keeper_mend_log(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_OK);
	asker_close(asker);
}

static void once_the_log_is_known_to_fail_nothing_is_changed(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_field value;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "old");
	keeper_stop_log(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), MORTISE_BUSY);
	assert_int_equal(ask_set(fixture, asker, "prod/x", "new", 3), MORTISE_BUSY);
	assert_int_equal(ask_path(fixture, asker, WIRE_DELETE, "prod/x"), MORTISE_BUSY);
	keeper_mend_log(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", &value), MORTISE_OK);
	assert_int_equal(value.size, 3);
	assert_memory_equal(value.bytes, "old", 3);
	asker_close(asker);
}

static void a_change_whose_line_was_lost_gets_it_when_the_log_mends(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);
	struct wire_field value;

	NEEDS_ROOT();
	keeper_stop_log(fixture);
	assert_int_equal(ask_set(fixture, asker, "prod/x", "new", 3), MORTISE_BUSY);
	assert_int_equal(ask_set(fixture, asker, "prod/y", "new", 3), MORTISE_BUSY);
	assert_false(keeper_log_has(fixture, "prod/x"));
	keeper_mend_log(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", &value), MORTISE_OK);
	assert_int_equal(value.size, 3);
	assert_true(keeper_log_has(fixture,
		"\"path\":\"prod/"
		"x\",\"version\":1,\"rule\":\"first\",\"result\":\"ok\",\"note\":\"late"));
	assert_int_equal(ask_get(fixture, asker, "prod/y", NULL), MORTISE_NOT_FOUND);
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(the_table_holds_while_unsealed),
		WITH_STORE(the_table_holds_while_sealed),
		WITH_KEEPER(the_table_holds_before_init),
		WITH_STORE(a_field_that_a_request_does_not_take_is_refused),
		WITH_STORE(a_request_without_its_path_is_refused),
		WITH_STORE(what_is_no_path_is_refused_never_mended),
		WITH_STORE(get_tells_the_denied_nothing),
		WITH_STORE(show_tells_the_denied_nothing),
		WITH_STORE(set_tells_the_denied_nothing),
		WITH_STORE(delete_tells_the_denied_nothing),
		WITH_STORE(undelete_tells_the_denied_nothing),
		WITH_STORE(list_tells_the_denied_nothing),
		WITH_STORE(why_it_is_sealed_is_for_operators),
		WITH_STORE(what_was_done_stands_in_the_log_with_path_version_rule_and_result),
		WITH_STORE(every_denial_stands_in_the_log),
		WITH_STORE(without_a_line_nothing_is_released_and_then_it_recovers),
		WITH_STORE(once_the_log_is_known_to_fail_nothing_is_changed),
		WITH_STORE(a_change_whose_line_was_lost_gets_it_when_the_log_mends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
