/* SPDX-License-Identifier: ISC */
/*
 * The table of requests in docs/protocol.md, row by row, against a keeper: who may ask, in which
 * state, which fields are taken, what has a line on record, what changes the store, and what is
 * refused while the log cannot be written. A row without a request here fails.
 */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "policy.h"

/* That no request has. */
#define NO_TAG 40

#define TRIES      1000 /* of what happens in a moment */
#define ROWS_MAX   80
#define FIELDS_MAX 64
#define COLUMNS    7
#define STRANGER   3000
#define NO_FIELD   "a field that "
#define EVERYTHING (2u * VERB_ADMIN - 1)
#define FLOOR_US   UINT64_C(4102444800000000) /* 2100 */

/* ---- the page ---- */

struct row {
	uint16_t code;
	char name[32], op[32], who[64];
	bool while_sealed, is_recorded, changes, is_never_refused, frees_room;
	uint64_t tags;
};

static char page[131072];
static struct row rows[ROWS_MAX];
static size_t row_count;

/* The cells of a table's row; how many there are. */
static size_t split(const char *line, char cells[COLUMNS][64])
{
	size_t count = 0;

	for (; count < COLUMNS && *line == '|' && line[1] != '\n'; count++) {
		const char *start = line + 1 + strspn(line + 1, " "), *end = strpbrk(start, "|\n");
		assert_non_null(end);
		line = end;
		while (end > start && end[-1] == ' ')
			end--;
		snprintf(cells[count], 64, "%.*s", (int)(end - start), start);
	}
	return count;
}

static void read_tags(struct row *row)
{
	char cells[COLUMNS][64], heading[48];

	snprintf(heading, sizeof heading, "\n### %s\n", row->name);
	const char *line = strstr(page, heading), *next;
	assert_non_null(line);
	for (line++; (next = strchr(line, '\n')) && strncmp(next, "\n#", 2) != 0; line = next + 1)
		if (split(next + 1, cells) >= 2 && strcmp(cells[0], "in") == 0)
			for (const char *at = page; (at = strstr(at, cells[1])); at++)
				if (strncmp(at - 2, "| ", 2) == 0 &&
					strncmp(at + strlen(cells[1]), " |", 2) == 0) {
					const char *start = at - 3;
					while (*start != '\n')
						start--;
					row->tags |= UINT64_C(1) << atoi(start + 3);
					break;
				}
}

static void read_row(char cells[COLUMNS][64])
{
	struct row *row = &rows[row_count++];

	row->code = (uint16_t)atoi(cells[0]);
	snprintf(row->name, sizeof row->name, "%.31s", cells[1]);
	for (size_t i = 0; row->name[i]; i++)
		row->op[i] = row->name[i] == '_' ? '-' : (char)(row->name[i] | 0x20);
	snprintf(row->who, sizeof row->who, "%s", cells[2]);
	row->while_sealed = strcmp(cells[3], "yes") == 0;
	row->is_recorded = strcmp(cells[4], "yes") == 0;
	row->changes = strncmp(cells[5], "yes", 3) == 0;
	row->frees_room = strcmp(cells[6], "yes") == 0;
	row->is_never_refused = strstr(cells[5], "never refused") != NULL;
	read_tags(row);
}

static int read_page(void **state)
{
	const char *source = getenv("MORTISE_TEST_SOURCE");
	char path[4096], cells[COLUMNS][64];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/docs/protocol.md", source ? source : ".");
	FILE *file = fopen(path, "re");
	if (!file)
		return -1;
	page[fread(page, 1, sizeof page - 1, file)] = '\0';
	(void)fclose(file);
	const char *line = strstr(page, "\n| code | request |");
	for (; line && line[1] == '|'; line = strchr(line + 1, '\n'))
		if (split(line + 1, cells) == COLUMNS && atoi(cells[0]) &&
			atoi(cells[0]) != WIRE_GATEWAY)
			read_row(cells);
	return row_count > 40 ? 0 : -1;
}

/* ---- requests ---- */

static struct {
	uint8_t bytes[4096];
	size_t size;
	bool is_there;
} fields[FIELDS_MAX];

static struct keeper_fixture *filling; /* for what only a world knows, such as its key */
static char policy_text[4096];

static void put(unsigned tag, const void *bytes, size_t size)
{
	assert_true(size <= sizeof fields[tag].bytes);
	memcpy(fields[tag].bytes, bytes, size);
	fields[tag].size = size;
	fields[tag].is_there = true;
}

static void text(unsigned tag, const char *content)
{
	put(tag, content, strlen(content));
}

static void number(unsigned tag, uint64_t value)
{
	put(tag, &value, sizeof value);
}

static void path(const char *name)
{
	text(WIRE_TAG_PATH, name);
}

static void token(void)
{
	static uint64_t last = 1u << 20;
	uint8_t bytes[WIRE_TOKEN_SIZE] = {[15] = 9};

	last++;
	memcpy(bytes, &last, sizeof last);
	put(WIRE_TAG_TOKEN, bytes, sizeof bytes);
}

static size_t run_of(uint8_t *at, uint16_t tag, const void *bytes, uint32_t size)
{
	memcpy(at, &tag, 2);
	memcpy(at + 2, &size, 4);
	memcpy(at + 6, bytes, size);
	return 6 + size;
}

/* ITEMS with one item: PATH, and VALUE or VERSION. */
static void item(const char *name, unsigned tag, const void *bytes, uint32_t size)
{
	uint8_t list[512];
	size_t used = 4;

	if (tag < WIRE_TAG_PATH)
		fail();
	used += run_of(list + used, WIRE_TAG_PATH, name, (uint32_t)strlen(name));
	used += run_of(list + used, (uint16_t)tag, bytes, size);
	const uint32_t whole = (uint32_t)used - 4;
	memcpy(list, &whole, 4);
	put(WIRE_TAG_ITEMS, list, used);
}

static void nothing(void)
{
}

static void key(void)
{
	text(WIRE_TAG_RECOVERY, filling->recovery);
}

static void get(void)
{
	uint8_t list[] = "\6\0\0\0prod/x";

	put(WIRE_TAG_PATHS, list, sizeof list - 1);
}

static void set(void)
{
	path("prod/x");
	text(WIRE_TAG_VALUE, "third");
	token();
}

static void set_if_changed(void)
{
	set();
	number(WIRE_TAG_IF_CHANGED, 1);
}

static void prefix(void)
{
	text(WIRE_TAG_PREFIX, "prod");
}

static void x(void)
{
	path("prod/x");
}

static void gone(void)
{
	path("prod/gone");
}

static void meta(void)
{
	x();
	text(WIRE_TAG_NOTE, "another");
}

static void hook(void)
{
	x();
	text(WIRE_TAG_HOOK, "/bin/true");
}

static void move(void)
{
	x();
	token();
	text(WIRE_TAG_NAME, "prod/new");
}

static void rollback(void)
{
	x();
	number(WIRE_TAG_VERSION, 1);
	token();
}

static void destroy(void)
{
	x();
	number(WIRE_TAG_VERSION, 1);
}

static void destroy_all(void)
{
	gone();
	number(WIRE_TAG_FORCE, 1);
}

static void set_batch(void)
{
	item("prod/x", WIRE_TAG_VALUE, "third", 5);
	token();
}

static void set_batch_if_changed(void)
{
	set_batch();
	number(WIRE_TAG_IF_CHANGED, 1);
}

static void watch(void)
{
	item("prod/x", WIRE_TAG_VERSION, &(uint64_t){0}, 8);
	number(WIRE_TAG_NUMBER, 0);
}

static void rotate_look(void)
{
	path("prod/turning");
	number(WIRE_TAG_NUMBER, 0);
}

static void rotate_begin(void)
{
	x();
	text(WIRE_TAG_VALUE, "pending");
	token();
	number(WIRE_TAG_NUMBER, 1);
}

static void rotate_promote(void)
{
	path("prod/turning");
	number(WIRE_TAG_VERSION, 2);
	number(WIRE_TAG_NUMBER, 2);
}

static void rotate_abort(void)
{
	rotate_promote();
	number(WIRE_TAG_NUMBER, 3);
}

static void stage(void)
{
	text(WIRE_TAG_NAME, "p");
	text(WIRE_TAG_CHUNK, policy_text);
	number(WIRE_TAG_OFFSET, 0);
}

static void policy_change(void)
{
	token();
	number(WIRE_TAG_FORCE, 1);
}

static void policy_reset(void)
{
	token();
	key();
}

static void policy_check(void)
{
	x();
	text(WIRE_TAG_USER, "alice");
	text(WIRE_TAG_VERB, "read");
}

static void policy_may(void)
{
	text(WIRE_TAG_USER, "alice");
}

static void note(void)
{
	text(WIRE_TAG_NOTE, "it was looked into");
}

static void chunk(void)
{
	text(WIRE_TAG_CHUNK, "a part");
	number(WIRE_TAG_OFFSET, 0);
}

static void kind_none(void)
{
	text(WIRE_TAG_SLOT_KIND, "none");
}

static void kind_tpm2(void)
{
	text(WIRE_TAG_SLOT_KIND, "tpm2");
}

static void recover(void)
{
	kind_none();
	key();
}

static void recover_tpm2(void)
{
	kind_tpm2();
	key();
}

static void kind_recovery(void)
{
	text(WIRE_TAG_SLOT_KIND, "recovery");
}

static void kind_shares(void)
{
	text(WIRE_TAG_SLOT_KIND, "recovery-shares");
	number(WIRE_TAG_NUMBER, 3);
	number(WIRE_TAG_THRESHOLD, 2);
}

static void escrow_key(void)
{
	text(WIRE_TAG_SLOT_KIND, "escrow-key");
}

static void slot_typed(void)
{
	number(WIRE_TAG_NUMBER, 1);
	key();
}

static void slot(void)
{
	number(WIRE_TAG_NUMBER, 2);
}

static void slot_and_pin(void)
{
	slot();
	text(WIRE_TAG_PIN, "1234");
}

/* ---- worlds ---- */

enum world { OPEN, SEALED, NEW, WORLDS };

/* In the keeper's process. A store that is opened brings a floor of its own, so it comes later. */
static void put_clock_behind(int number)
{
	(void)number;
	clock_set_floor(&(struct clock_floor){.wall_us = FLOOR_US});
}

static void await_signal(void)
{
	(void)signal(SIGUSR2, put_clock_behind);
}

/* The clock is behind a floor that was confirmed, so that there is something to accept. */
static void be_behind(struct keeper_fixture *fixture)
{
	char fact[256] = "";

	assert_int_equal(kill(fixture->pid, SIGUSR2), 0);
	for (unsigned i = 0; strncmp(fact, "not believed", 12) != 0; i++) {
		assert_in_range(i, 0, TRIES);
		keeper_fact(fixture, "clock", fact);
	}
}

/* The log's end is gone, so that there is something to acknowledge. */
static void cut_log(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	struct stat status;

	asker_close(asker);
	assert_int_equal(keeper_stop(fixture), 0);
	assert_int_equal(stat(fixture->audit_log, &status), 0);
	assert_int_equal(truncate(fixture->audit_log, status.st_size / 2), 0);
	keeper_start(fixture);
	asker = asker_open(fixture);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	asker_close(asker);
}

static void stage_policy(struct keeper_fixture *fixture, struct asker *asker)
{
	assert_int_equal(ask_stage(fixture, asker, policy_text), MORTISE_OK);
}

/* All of the store as it is now, as a backup on its way in. */
static void stage_store(struct keeper_fixture *fixture, struct asker *asker)
{
	static uint8_t chunk[WIRE_CHUNK_MAX];
	uint64_t done = 0, total = 1;
	size_t size = 1;

	while (done < total) {
		assert_int_equal(ask_plain(fixture, asker, WIRE_BACKUP), MORTISE_OK);
		assert_int_equal(wire_number(&asker->reply, WIRE_TAG_DONE, &done), MORTISE_OK);
		assert_int_equal(wire_number(&asker->reply, WIRE_TAG_TOTAL, &total), MORTISE_OK);
	}
	for (uint64_t at = 0; size > 0; at += size) {
		wire_put_number(asker_begin(asker, WIRE_BACKUP), WIRE_TAG_OFFSET, at);
		assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
		size = wire_field_of(&asker->reply, WIRE_TAG_CHUNK)->size;
		if (size == 0)
			break;
		memcpy(chunk, wire_field_of(&asker->reply, WIRE_TAG_CHUNK)->bytes, size);
		struct wire_writer *writer = asker_begin(asker, WIRE_BACKUP_STAGE);
		wire_put(writer, WIRE_TAG_CHUNK, chunk, size);
		wire_put_number(writer, WIRE_TAG_OFFSET, at);
		assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	}
}

/*
 * A request for each row, for some rows several. path: what its line names. also: verbs beside the
 * page's. keeps: it is one of a row that changes, and changes nothing itself.
 */
static const struct request {
	const char *name;
	void (*fill)(void);
	const char *path;
	enum world world; /* where it does what it is for */
	unsigned also;
	uint16_t answer[WORLDS]; /* to who may ask */
	bool keeps;
	void (*prepare)(struct keeper_fixture *fixture);
	void (*lead)(struct keeper_fixture *fixture, struct asker *asker); /* by who may ask */
	void (*find)(struct keeper_fixture *fixture, struct asker *asker); /* so that it succeeds */
} requests[] = {
	{.name = "HELLO", .fill = nothing},
	{.name = "STATUS", .fill = nothing},
	{.name = "WHOAMI", .fill = nothing},
	{.name = "INIT",
		.fill = kind_none,
		.world = NEW,
		.answer = {MORTISE_CONFLICT, MORTISE_CONFLICT}},
	{.name = "INIT",
		.fill = kind_tpm2,
		.world = NEW,
		.answer = {MORTISE_CONFLICT, MORTISE_CONFLICT}},
	{.name = "UNSEAL", .fill = key, .world = SEALED},
	{.name = "SEAL", .fill = nothing},
	{.name = "GET", .fill = get, .path = "prod/x"},
	{.name = "SET", .fill = set, .path = "prod/x"},
	{.name = "SET", .fill = set_if_changed, .path = "prod/x", .also = VERB_READ},
	{.name = "LIST", .fill = prefix},
	{.name = "SHOW", .fill = x, .path = "prod/x"},
	{.name = "DELETE", .fill = x, .path = "prod/x"},
	{.name = "UNDELETE", .fill = gone, .path = "prod/gone"},
	{.name = "META", .fill = meta, .path = "prod/x"},
	{.name = "META", .fill = hook, .path = "prod/x", .also = VERB_ADMIN},
	{.name = "MOVE", .fill = move, .path = "prod/x", .also = VERB_READ | VERB_DELETE},
	{.name = "ROLLBACK", .fill = rollback, .path = "prod/x"},
	{.name = "DESTROY", .fill = destroy, .path = "prod/x"},
	{.name = "DESTROY", .fill = destroy_all, .path = "prod/gone"},
	{.name = "WATCH", .fill = watch, .path = "prod/x"},
	{.name = "SET_BATCH", .fill = set_batch, .path = "prod/x"},
	{.name = "SET_BATCH", .fill = set_batch_if_changed, .path = "prod/x", .also = VERB_READ},
	{.name = "ROTATE", .fill = rotate_look, .path = "prod/turning", .keeps = true},
	{.name = "ROTATE", .fill = rotate_begin, .path = "prod/x"},
	{.name = "ROTATE", .fill = rotate_promote, .path = "prod/turning"},
	{.name = "ROTATE", .fill = rotate_abort, .path = "prod/turning"},
	{.name = "HYGIENE", .fill = nothing},
	{.name = "POLICY_STAGE", .fill = stage},
	{.name = "POLICY_APPLY", .fill = policy_change, .lead = stage_policy},
	{.name = "POLICY_SHOW", .fill = nothing},
	{.name = "POLICY_CHECK", .fill = policy_check, .path = "prod/x"},
	{.name = "POLICY_WHO", .fill = x, .path = "prod/x"},
	{.name = "POLICY_MAY", .fill = policy_may},
	{.name = "POLICY_ROLLBACK", .fill = policy_change},
	{.name = "POLICY_RESET", .fill = policy_reset},
	{.name = "AUDIT_SHOW", .fill = nothing},
	{.name = "AUDIT_VERIFY", .fill = nothing},
	{.name = "AUDIT_KEY", .fill = nothing},
	{.name = "AUDIT_ACKNOWLEDGE", .fill = note, .prepare = cut_log},
	{.name = "VERIFY", .fill = nothing},
	{.name = "SLOT_LIST", .fill = nothing},
	{.name = "SLOT_ADD", .fill = kind_tpm2},
	{.name = "SLOT_ADD", .fill = kind_recovery},
	{.name = "SLOT_ADD", .fill = kind_shares},
	{.name = "SLOT_ADD", .fill = escrow_key, .keeps = true},
	{.name = "SLOT_REMOVE", .fill = slot},
	{.name = "SLOT_TEST", .fill = slot_typed},
	{.name = "SLOT_TEST", .fill = slot_and_pin},
	{.name = "SLOT_RESEAL", .fill = slot_and_pin},
	{.name = "SLOT_SUSPEND", .fill = slot_and_pin},
	{.name = "SLOT_CHANGE_PIN", .fill = slot_and_pin},
	{.name = "REKEY", .fill = nothing},
	{.name = "BACKUP", .fill = nothing},
	{.name = "RECOVER", .fill = recover, .world = SEALED, .answer = {MORTISE_CONFLICT}},
	{.name = "RECOVER", .fill = recover_tpm2, .world = SEALED, .answer = {MORTISE_CONFLICT}},
	{.name = "DOCTOR", .fill = nothing},
	{.name = "BACKUP_STAGE", .fill = chunk},
	{.name = "BACKUP_VERIFY",
		.fill = key,
		.answer = {MORTISE_NOT_FOUND, MORTISE_NOT_FOUND},
		.find = stage_store},
	{.name = "CLOCK_ACCEPT", .fill = note, .prepare = be_behind},
};

#define REQUESTS (sizeof requests / sizeof requests[0])

static const struct row *row_of(const struct request *request)
{
	for (size_t i = 0; i < row_count; i++)
		if (strcmp(rows[i].name, request->name) == 0)
			return &rows[i];
	fail_msg("docs/protocol.md has no row %s", request->name);
	return NULL;
}

static bool takes_dry_run(const struct row *row)
{
	return row->tags & UINT64_C(1) << WIRE_TAG_DRY_RUN;
}

static uint16_t send_one(struct keeper_fixture *fixture, struct asker *asker,
	const struct request *request, bool is_dry_run)
{
	struct wire_writer *writer = asker_begin(asker, row_of(request)->code);

	memset(fields, 0, sizeof fields);
	filling = fixture;
	request->fill();
	if (is_dry_run)
		number(WIRE_TAG_DRY_RUN, 1);
	for (unsigned tag = 1; tag < FIELDS_MAX; tag++)
		if (fields[tag].is_there)
			wire_put(writer, tag, fields[tag].bytes, fields[tag].size);
	return asker_call(fixture, asker);
}

/* Another backup ends when its connection's end has been seen, which may be later. */
static uint16_t ask(struct keeper_fixture *fixture, struct asker *asker,
	const struct request *request, bool is_dry_run)
{
	uint16_t code = send_one(fixture, asker, request, is_dry_run);

	for (unsigned i = 0; i < 1000 && code == MORTISE_BUSY && strstr(asker->text, "backup"); i++)
		code = send_one(fixture, asker, request, is_dry_run);
	return code;
}

/* ---- callers ---- */

static const struct caller {
	const char *what;
	uint32_t uid, gid;
	unsigned verbs;
	bool is_operator, is_at_web; /* where nobody may use the verb admin */
	const char *where;           /* his verbs count; NULL: everywhere */
	bool is_elsewhere;           /* than any request here */
	const char *writes_at;       /* beside his verbs; of no request the PATH */
} callers[] = {
	{"root", 0, 0, EVERYTHING, true, false, NULL, false, NULL},
	{"root at another socket", 0, 0, EVERYTHING ^ VERB_ADMIN, false, true, NULL, false, NULL},
	{"the agent's user", KEEPER_AGENT_UID, KEEPER_AGENT_UID, 0, true, false, NULL, false, NULL},
	{"an operator", ALICE, KEEPER_OPERATORS, 0, true, false, NULL, false, NULL},
	{"a stranger", STRANGER, STRANGER, 0, false, false, NULL, false, NULL},
	{"a reader", 2001, 2001, VERB_READ, false, false, NULL, false, NULL},
	{"a lister", 2002, 2002, VERB_LIST, false, false, NULL, false, NULL},
	{"a writer", 2003, 2003, VERB_WRITE, false, false, NULL, false, NULL},
	{"a deleter", 2004, 2004, VERB_DELETE, false, false, NULL, false, NULL},
	{"a rotator", 2005, 2005, VERB_ROTATE, false, false, NULL, false, NULL},
	{"an auditor", 2006, 2006, VERB_AUDIT, false, false, NULL, false, NULL},
	{"an admin", 2007, 2007, VERB_ADMIN, false, false, NULL, false, NULL},
	{"who may all but read", 2011, 2011, EVERYTHING ^ VERB_READ, false, false, NULL, false,
		NULL},
	{"who may all but list", 2012, 2012, EVERYTHING ^ VERB_LIST, false, false, NULL, false,
		NULL},
	{"who may all but write", 2013, 2013, EVERYTHING ^ VERB_WRITE, false, false, NULL, false,
		NULL},
	{"who may all but delete", 2014, 2014, EVERYTHING ^ VERB_DELETE, false, false, NULL, false,
		NULL},
	{"who may all but rotate", 2015, 2015, EVERYTHING ^ VERB_ROTATE, false, false, NULL, false,
		NULL},
	{"who may all but audit", 2016, 2016, EVERYTHING ^ VERB_AUDIT, false, false, NULL, false,
		NULL},
	{"who may all but admin", 2017, 2017, EVERYTHING ^ VERB_ADMIN, false, false, NULL, false,
		NULL},
	{"who may all with secrets here", 2021, 2021, EVERYTHING ^ VERB_ADMIN ^ VERB_AUDIT,
		.where = "prod/**"},
	{"who may all with others", 2022, 2022, EVERYTHING ^ VERB_ADMIN ^ VERB_AUDIT,
		.where = "other/**", .is_elsewhere = true},
	{"who may write where it is moved to", 2023, 2023, EVERYTHING ^ VERB_WRITE,
		.writes_at = "prod/new"},
};

#define CALLERS (sizeof callers / sizeof callers[0])

static void write_policy(void)
{
	size_t used = 0;

	for (size_t i = 0; i < CALLERS; i++) {
		if (callers[i].verbs == 0 || callers[i].is_at_web)
			continue;
		used += (size_t)snprintf(policy_text + used, sizeof policy_text - used,
			"[rule r%zu]\nuser = %u\nsecret = %s\nallow =", i, callers[i].uid,
			callers[i].where ? callers[i].where : "**");
		for (unsigned verb = 1; verb <= VERB_ADMIN; verb *= 2)
			if (callers[i].verbs & verb)
				used += (size_t)snprintf(policy_text + used,
					sizeof policy_text - used, " %s",
					verb_name((enum verb)verb));
		used += (size_t)snprintf(policy_text + used, sizeof policy_text - used, "\n");
		if (callers[i].writes_at)
			used += (size_t)snprintf(policy_text + used, sizeof policy_text - used,
				"[rule w%zu]\nuser = %u\nsecret = %s\nallow = write\n", i,
				callers[i].uid, callers[i].writes_at);
	}
	assert_true(used < sizeof policy_text);
}

static struct asker *open_as(struct keeper_fixture *fixture, const struct caller *caller)
{
	if (caller->uid)
		become(caller->uid, caller->gid);
	return caller->is_at_web ? asker_open_at(fixture, fixture->web_socket)
				 : asker_open(fixture);
}

static void leave(struct asker *asker)
{
	become_root();
	asker_close(asker);
}

/* ---- making a world ---- */

static uint16_t do_one(struct keeper_fixture *fixture, const struct request *request)
{
	struct asker *asker = asker_open(fixture);
	uint16_t code = ask(fixture, asker, request, false);

	asker_close(asker);
	return code;
}

static void begin_turning(void)
{
	rotate_begin();
	path("prod/turning");
}

static void slot_of_tpm2(void)
{
	kind_tpm2();
	text(WIRE_TAG_PIN, "1234");
	number(WIRE_TAG_PCRS, 1u << 7);
}

static void furnish(struct keeper_fixture *fixture)
{
	static const struct request more[] = {{.name = "DELETE", .fill = gone},
		{.name = "ROTATE", .fill = begin_turning},
		{.name = "SLOT_ADD", .fill = slot_of_tpm2}};

	keeper_init(fixture);
	write_policy();
	keeper_apply(fixture, policy_text);
	keeper_put(fixture, "prod/x", "first");
	keeper_put(fixture, "prod/x", "second");
	keeper_put(fixture, "prod/gone", "value");
	keeper_put(fixture, "prod/turning", "value");
	for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
		assert_int_equal(do_one(fixture, &more[i]), MORTISE_OK);
}

static void seal(struct keeper_fixture *fixture)
{
	assert_int_equal(
		do_one(fixture, &(struct request){.name = "SEAL", .fill = nothing}), MORTISE_OK);
}

static bool is_log_stopped;             /* and a status not always answered */
static struct keeper_fixture *standing; /* the world there is, if any */

static void begin(struct keeper_fixture *fixture, const struct request *request, enum world world)
{
	standing = fixture;
	fixture->before = await_signal;
	keeper_listen_web(fixture, EVERYTHING ^ VERB_ADMIN);
	keeper_start(fixture);
	if (world != NEW)
		furnish(fixture);
	if (request && request->prepare)
		request->prepare(fixture);
	if (world == SEALED)
		seal(fixture);
}

static struct keeper_fixture *make(const struct request *request, enum world world)
{
	struct keeper_fixture *fixture = keeper_prepare();

	begin(fixture, request, world);
	return fixture;
}

static int tear_down(void **state)
{
	void *fixture = standing;

	(void)state;
	standing = NULL;
	is_log_stopped = false;
	return fixture ? tear_down_keeper(&fixture) : 0;
}

static void end(void)
{
	assert_int_equal(tear_down(NULL), 0);
}

/* ---- what there is: the store without the log's own state, and what the keeper says ---- */

static const char *const queries[] = {
	"SELECT 'meta', hex(uuid), epoch, generation, last FROM meta",
	"SELECT 'item', epoch, kind, number, hex(body) FROM item WHERE kind<>3 ORDER BY 2, 3, 4",
	"SELECT 'secret', number, hex(record) FROM secret ORDER BY 2",
	"SELECT 'value', place, secret, version, hex(bytes) FROM value ORDER BY 2",
	"SELECT 'hold', word FROM hold",
};

static const char *const facts[] = {"state", "policy_version", "key_epoch", "rekey", "clock"};

static bool print(sqlite3 *store, const char *query, FILE *out)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store, query, -1, &statement, NULL);

	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(statement);
		for (int i = 0; code == SQLITE_ROW && i < sqlite3_column_count(statement); i++)
			fprintf(out, "%s%c", (const char *)sqlite3_column_text(statement, i),
				i + 1 < sqlite3_column_count(statement) ? ' ' : '\n');
	}
	sqlite3_finalize(statement);
	return code == SQLITE_DONE;
}

/* NULL: it was copied while it was being written. */
static char *look_once(struct keeper_fixture *fixture)
{
	char command[512], copy[160], fact[256], *picture = NULL;
	sqlite3 *store = NULL;
	size_t size;

	snprintf(copy, sizeof copy, "%s/copy/store.db", fixture->directory);
	snprintf(command, sizeof command, "rm -rf %s/copy && cp -r %s %s/copy", fixture->directory,
		fixture->store, fixture->directory);
	assert_int_equal(system(command), 0);
	FILE *out = open_memstream(&picture, &size);
	assert_non_null(out);
	bool is_whole = sqlite3_open(copy, &store) == SQLITE_OK;
	for (size_t i = 0; is_whole && i < sizeof queries / sizeof queries[0]; i++)
		is_whole = print(store, queries[i], out);
	sqlite3_close(store);
	for (size_t i = 0; !is_log_stopped && i < sizeof facts / sizeof facts[0]; i++) {
		keeper_fact(fixture, facts[i], fact);
		fprintf(out, "%s %s\n", facts[i], fact);
	}
	fprintf(out, "asked %u, begun %u\n", fixture->questions, fixture->spawns);
	(void)fclose(out);
	if (is_whole)
		return picture;
	free(picture);
	return NULL;
}

/* When nothing is under way any more. The caller frees it. */
static char *look(struct keeper_fixture *fixture)
{
	char *before = look_once(fixture), *now = NULL;
	time_t until = time(NULL) + 30;

	while (!(now = look_once(fixture)) || !before || strcmp(before, now) != 0) {
		free(before);
		before = now;
		if (time(NULL) > until)
			fail_msg("the store does not come to rest");
	}
	free(before);
	return now;
}

static void show_difference(const char *before, const char *now)
{
	for (; *before && *before == *now; before++)
		now++;
	print_error("before: %.300s\nnow:    %.300s\n", before, now);
}

static void assert_same(const char *before, struct keeper_fixture *fixture,
	const struct request *request, const char *what)
{
	char *now = look(fixture);

	if (strcmp(before, now) != 0) {
		show_difference(before, now);
		fail_msg("%s of %s changes something", what, request->name);
	}
	free(now);
}

/* ---- the audit log ---- */

/* Is there a line behind the first so many bytes that has all of these? NULL: not wanted. */
static bool has_line(
	struct keeper_fixture *fixture, size_t behind_bytes, const char *const parts[4])
{
	char *log = keeper_log(fixture), *line, *rest = log + behind_bytes;
	bool found = false;

	while (!found && (line = strsep(&rest, "\n"))) {
		found = true;
		for (unsigned i = 0; i < 4; i++)
			found &= !parts[i] || strstr(line, parts[i]);
	}
	free(log);
	return found;
}

static size_t log_size(struct keeper_fixture *fixture)
{
	char *log = keeper_log(fixture);
	size_t size = strlen(log);

	free(log);
	return size;
}

static void assert_recorded(struct keeper_fixture *fixture, size_t behind_bytes,
	const struct request *request, const char *result, const char *more)
{
	const struct row *row = row_of(request);
	bool is_wanted = row->is_recorded || strcmp(result, "denied") == 0;
	char op[48], outcome[48], where[64];

	snprintf(op, sizeof op, "\"op\":\"%s\",\"uid\"", row->op);
	snprintf(outcome, sizeof outcome, "\"result\":\"%s\"", result);
	snprintf(where, sizeof where, "\"path\":\"%s\"", request->path ? request->path : "");
	bool is_there = has_line(fixture, behind_bytes,
		is_wanted ? (const char *[4]){op, outcome, request->path ? where : NULL, more}
			  : (const char *[4]){op});
	if (is_there != is_wanted) {
		char *log = keeper_log(fixture);
		print_error("%s\n", log + behind_bytes);
		free(log);
		fail_msg("%s: %s line with %s, %s, %s", request->name, is_wanted ? "no" : "a",
			outcome, where, more ? more : "");
	}
}

/* ---- tests ---- */

static void every_row_has_a_request_here(void **state)
{
	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		size_t at = 0;
		while (at < REQUESTS && strcmp(requests[at].name, rows[i].name) != 0)
			at++;
		if (at == REQUESTS)
			fail_msg("no request for %s", rows[i].name);
	}
}

static void each_row_takes_the_fields_of_its_table_and_no_others(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);
	static const uint8_t bytes[8];

	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		struct asker *asker = open_as(fixture, &callers[4]);
		/* And the last tag that there could be. */
		for (unsigned tag = 1; tag < WIRE_TAG_LIMIT;
			tag = tag == FIELDS_MAX ? WIRE_TAG_LIMIT - 1 : tag + 1) {
			bool is_listed = tag < FIELDS_MAX && (rows[i].tags >> tag & 1) != 0;
			wire_put(asker_begin(asker, rows[i].code), tag, bytes, sizeof bytes);
			uint16_t code = asker_call(fixture, asker);
			bool is_refused = code == MORTISE_INVALID &&
					  strncmp(asker->text, NO_FIELD, strlen(NO_FIELD)) == 0;
			if (is_refused == is_listed)
				fail_msg("%s, tag %u: %u (%s)", rows[i].name, tag, code,
					asker->text);
		}
		leave(asker);
	}
	end();
}

/* What the answer is about: a whole that is denied, or one path that is. */
static bool is_denied(const struct asker *asker, const struct row *row, uint16_t code)
{
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	struct wire_message part;
	struct wire_field first;
	uint64_t status = MORTISE_OK;

	if (code != MORTISE_OK || !strstr(row->who, "on each path"))
		return code == MORTISE_DENIED;
	if (!wire_list_next(&list, &first))
		return true;
	assert_int_equal(wire_parse_fields(first.bytes, first.size, &part), MORTISE_OK);
	(void)!wire_number(&part, WIRE_TAG_STATUS, &status);
	return status == MORTISE_DENIED;
}

static bool may(const struct caller *caller, const struct row *row, const struct request *request,
	enum world world)
{
	char verb[16] = "";

	if (strcmp(row->who, "anyone") == 0)
		return true;
	if (strcmp(row->who, "operators") == 0)
		return caller->is_operator;
	if (world == SEALED) {
		assert_string_equal(row->who, "admin; operators while sealed");
		return caller->is_operator;
	}
	assert_int_equal(sscanf(row->who, "%15[a-z]", verb), 1);
	unsigned needed = verb_of_name(verb) | request->also;
	assert_true(verb_of_name(verb) != 0);
	return !caller->is_elsewhere && (caller->verbs & needed) == needed;
}

static void ask_as(struct keeper_fixture *fixture, const struct caller *caller,
	const struct request *request, enum world world)
{
	const struct row *row = row_of(request);
	struct asker *asker = open_as(fixture, caller);
	bool is_sealed = world == SEALED && !row->while_sealed;
	bool is_allowed = is_sealed || may(caller, row, request, world);
	uint16_t expected = is_sealed ? MORTISE_SEALED : request->answer[world];

	if (request->lead && is_allowed && !is_sealed)
		request->lead(fixture, asker);
	uint16_t code = ask(fixture, asker, request, takes_dry_run(row));
	bool is_right = is_allowed ? code == expected && !is_denied(asker, row, code)
				   : is_denied(asker, row, code);
	if (!is_right)
		fail_msg("%s by %s: %u (%s)", request->name, caller->what, code, asker->text);
	leave(asker);
}

static void each_kind_of_caller_may_what_the_page_says(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);

	(void)state;
	for (size_t i = 0; i < REQUESTS; i++)
		for (size_t caller = 0; caller < CALLERS; caller++)
			ask_as(fixture, &callers[caller], &requests[i], OPEN);
	end();
}

static void while_sealed_each_kind_of_caller_may_what_the_page_says(void **state)
{
	struct keeper_fixture *fixture = make(NULL, SEALED);

	(void)state;
	for (size_t i = 0; i < REQUESTS; i++)
		for (size_t caller = 0; caller < CALLERS; caller++) {
			ask_as(fixture, &callers[caller], &requests[i], SEALED);
			if (strcmp(requests[i].name, "UNSEAL") == 0 && callers[caller].is_operator)
				seal(fixture);
		}
	end();
}

static void an_opcode_without_a_row_is_invalid(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);
	struct asker *asker = asker_open(fixture);

	(void)state;
	for (unsigned code = 0; code <= 300; code++) {
		size_t at = 0;
		while (at < row_count && rows[at].code != code)
			at++;
		if (at == row_count)
			assert_int_equal(
				ask_plain(fixture, asker, (uint16_t)code), MORTISE_INVALID);
	}
	assert_int_equal(ask_plain(fixture, asker, 65535), MORTISE_INVALID);
	asker_close(asker);
	end();
}

static void ask_dry(struct keeper_fixture *fixture, const struct request *request)
{
	char *before = look(fixture);
	struct asker *asker = asker_open(fixture);
	size_t lines = log_size(fixture);

	if (request->lead)
		request->lead(fixture, asker);
	uint16_t code = ask(fixture, asker, request, true);
	if (code != MORTISE_OK)
		fail_msg("a dry run of %s: %u (%s)", request->name, code, asker->text);
	assert_same(before, fixture, request, "a dry run");
	assert_recorded(fixture, lines, request, "ok", "\"note\":\"dry run\"");
	asker_close(asker);
	free(before);
}

static void a_dry_run_of_whatever_takes_it_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < REQUESTS; i++) {
		if (!takes_dry_run(row_of(&requests[i])) || requests[i].keeps)
			continue;
		struct keeper_fixture *fixture = make(&requests[i], requests[i].world);
		ask_dry(fixture, &requests[i]);
		end();
	}
}

/* The control of the test above, too: what is looked at there does change without DRY_RUN. */
static void do_it(struct keeper_fixture *fixture, const struct request *request)
{
	const struct row *row = row_of(request);
	bool changes = row->changes && !request->keeps;
	char *before = look(fixture);
	struct asker *asker = asker_open(fixture);
	size_t lines = log_size(fixture);

	if (request->lead)
		request->lead(fixture, asker);
	uint16_t code = ask(fixture, asker, request, false);
	if (code != request->answer[request->world])
		fail_msg("%s: %u (%s)", request->name, code, asker->text);
	assert_recorded(fixture, lines, request, code == MORTISE_OK ? "ok" : "not-found", NULL);
	asker_close(asker);
	char *now = look(fixture);
	if (changes != (strcmp(before, now) != 0)) {
		show_difference(before, now);
		fail_msg("%s changes %s", request->name, changes ? "nothing" : "something");
	}
	free(before);
	free(now);
}

static void what_is_recorded_has_a_line_and_what_changes_the_store_is_marked_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < REQUESTS; i++) {
		struct keeper_fixture *fixture = make(&requests[i], requests[i].world);
		do_it(fixture, &requests[i]);
		end();
	}
}

/* One that has a line for each path has one of its own where it fails as a whole. */
static void what_is_malformed_has_a_line_if_it_is_recorded(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);
	struct caller stranger = callers[4];

	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		const struct request request = {.name = rows[i].name};
		size_t lines = log_size(fixture);
		stranger.uid++; /* of many refusals of one uid only the first have lines */
		struct asker *asker = open_as(fixture, &stranger);
		wire_put_text(asker_begin(asker, rows[i].code), NO_TAG, "x");
		assert_int_equal(asker_call(fixture, asker), MORTISE_INVALID);
		leave(asker);
		assert_recorded(fixture, lines, &request, "invalid", NULL);
	}
	end();
}

static void every_denial_has_a_line_and_changes_nothing(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);
	char *before = look(fixture);
	struct caller stranger = callers[4];

	(void)state;
	for (size_t i = 0; i < REQUESTS; i++) {
		size_t lines = log_size(fixture);
		stranger.uid++; /* of many denials of one uid only the first have lines */
		struct asker *asker = open_as(fixture, &stranger);
		(void)ask(fixture, asker, &requests[i], false);
		leave(asker);
		if (strcmp(row_of(&requests[i])->who, "anyone") != 0)
			assert_recorded(fixture, lines, &requests[i], "denied", NULL);
		assert_same(before, fixture, &requests[i], "a denial");
	}
	free(before);
	end();
}

/*
 * By root, to whom nothing is denied. Whatever needs a line is answered with BUSY; but what is not
 * refused before has been done by then.
 */
static void ask_without_log(struct keeper_fixture *fixture, const struct request *request)
{
	struct asker *asker = asker_open(fixture);
	char *before;

	is_log_stopped = true;
	before = look(fixture);
	if (request->lead)
		request->lead(fixture, asker);
	uint16_t code = ask(fixture, asker, request, false);
	if (code != (row_of(request)->is_recorded ? MORTISE_BUSY : MORTISE_OK))
		fail_msg("%s: %u (%s)", request->name, code, asker->text);
	assert_same(before, fixture, request, "without a log, one");
	asker_close(asker);
	free(before);
}

static void all_without_log(struct keeper_fixture *fixture, enum world world)
{
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].world == world && !row_of(&requests[i])->is_never_refused)
			ask_without_log(fixture, &requests[i]);
}

static void prepare_all(struct keeper_fixture *fixture)
{
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].prepare)
			requests[i].prepare(fixture);
}

static void make_known(struct keeper_fixture *fixture)
{
	struct asker *asker = open_as(fixture, &callers[4]);

	assert_int_equal(ask_plain(fixture, asker, WIRE_BACKUP_STAGE), MORTISE_BUSY);
	leave(asker);
}

static void while_the_log_is_known_to_fail_nothing_is_changed_but_by_a_seal(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);

	(void)state;
	prepare_all(fixture);
	keeper_stop_log(fixture);
	make_known(fixture);
	all_without_log(fixture, OPEN);
	for (size_t i = 0; i < REQUESTS; i++)
		if (row_of(&requests[i])->is_never_refused)
			assert_int_equal(do_one(fixture, &requests[i]), MORTISE_BUSY);
	keeper_await_state(fixture, "sealed: ");
	all_without_log(fixture, SEALED);
	keeper_mend_log(fixture);
	for (unsigned i = 0;
		!has_line(fixture, 0, (const char *[4]){"\"op\":\"seal\"", "\"note\":\"late"});
		i++) {
		assert_in_range(i, 0, TRIES);
		(void)do_one(fixture, &requests[0]);
	}
	end();
}

static void stop_log_here(struct keeper_fixture *fixture)
{
	const struct rlimit limit = {log_size(fixture), RLIM_INFINITY};

	assert_int_equal(prlimit(fixture->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void while_the_log_is_known_to_fail_no_store_is_made(void **state)
{
	struct keeper_fixture *fixture = make(NULL, NEW);

	(void)state;
	assert_int_equal(do_one(fixture, &requests[0]), MORTISE_OK); /* the log is open */
	stop_log_here(fixture);
	make_known(fixture);
	all_without_log(fixture, NEW);
	keeper_mend_log(fixture);
	end();
}

/* What has changed something has its line later; what has not was never answered. */
static void only_what_changes_has_a_line_that_comes_late(void **state)
{
	struct keeper_fixture *fixture = make(NULL, OPEN);
	const struct request wanted = {.name = "SHOW", .fill = x};
	char op[48];

	(void)state;
	keeper_stop_log(fixture);
	for (size_t i = 0; i < REQUESTS; i++) {
		const struct row *row = row_of(&requests[i]);
		if (row->changes || !row->is_recorded)
			continue;
		keeper_mend_log(fixture);
		assert_int_equal(do_one(fixture, &wanted), MORTISE_OK);
		struct asker *asker = asker_open(fixture);
		if (requests[i].find)
			requests[i].find(fixture, asker);
		stop_log_here(fixture);
		assert_int_equal(ask(fixture, asker, &requests[i], false), MORTISE_BUSY);
		asker_close(asker);
	}
	keeper_mend_log(fixture);
	assert_int_equal(do_one(fixture, &wanted), MORTISE_OK);
	for (size_t i = 0; i < row_count; i++) {
		snprintf(op, sizeof op, "\"op\":\"%s\"", rows[i].op);
		if (has_line(fixture, 0, (const char *[4]){op, "\"note\":\"late"}))
			fail_msg("%s has a late line", rows[i].name);
	}
	end();
}

/* ---- full disks ---- */

static void put_on_small_disk(const char *directory)
{
	assert_int_equal(mount("none", directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m"), 0);
}

/* But for so many bytes. */
static void fill_disk(const char *directory, off_t left)
{
	char path[160], block[4096] = {1};

	snprintf(path, sizeof path, "%s/ballast", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - left), 0);
	assert_int_equal(close(fd), 0);
}

static void end_on_small_disk(const char *directory)
{
	assert_int_equal(umount2(directory, MNT_DETACH), 0);
	end();
}

/* Was it refused for lack of room, by this word? */
static bool lacks_room(struct keeper_fixture *fixture, const struct caller *caller,
	const struct request *request, const char *word)
{
	struct asker *asker = open_as(fixture, caller);

	if (request->lead && caller->uid == 0)
		request->lead(fixture, asker);
	uint16_t code = ask(fixture, asker, request, false);
	bool lacks = strstr(asker->text, word) != NULL;
	if (lacks && code != MORTISE_BUSY)
		fail_msg("%s: %u (%s)", request->name, code, asker->text);
	leave(asker);
	return lacks;
}

static const char log_is_full[] = "the audit log's disk is full";

static void use_up_the_logs_disk(struct keeper_fixture *fixture)
{
	const struct request wanted = {.name = "GET", .fill = get};

	for (unsigned i = 0; !lacks_room(fixture, &callers[0], &wanted, log_is_full); i++)
		assert_in_range(i, 0, 20000);
}

/* Who may all but admin; and an admin who is no operator. */
static void ask_on_full_disk(struct keeper_fixture *fixture, const struct request *request)
{
	const struct row *row = row_of(request);
	size_t size = log_size(fixture);

	if (lacks_room(fixture, &callers[18], request, log_is_full) ==
		(strcmp(row->who, "anyone") == 0))
		fail_msg("%s, not asked by an administrator", request->name);
	assert_false(has_line(fixture, size, (const char *[4]){"\"uid\":2017"}));
	/* A rollback takes admin from him. */
	if (strcmp(row->who, "admin") == 0 && strcmp(row->name, "POLICY_ROLLBACK") != 0 &&
		lacks_room(fixture, &callers[11], request, log_is_full) == row->frees_room)
		fail_msg("%s, asked by an admin who is no operator", request->name);
}

/* Afterwards, since it is done. */
static void ask_as_root_on_full_disk(struct keeper_fixture *fixture, const struct request *request)
{
	const struct row *row = row_of(request);
	bool may = row->frees_room || strcmp(row->who, "anyone") == 0;

	if (lacks_room(fixture, &callers[0], request, log_is_full) == may)
		fail_msg("%s, asked by root", request->name);
}

static void on_the_last_of_the_logs_disk_administrators_free_room_and_nobody_does_else(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();

	(void)state;
	put_on_small_disk(fixture->audit_directory);
	begin(fixture, NULL, OPEN);
	prepare_all(fixture);
	fill_disk(fixture->audit_directory, 0);
	use_up_the_logs_disk(fixture);
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].world == OPEN && !row_of(&requests[i])->is_never_refused)
			ask_on_full_disk(fixture, &requests[i]);
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].world == OPEN && !row_of(&requests[i])->is_never_refused)
			ask_as_root_on_full_disk(fixture, &requests[i]);
	seal(fixture);
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].world == SEALED && strcmp(requests[i].name, "UNSEAL") != 0)
			ask_as_root_on_full_disk(fixture, &requests[i]);
	for (size_t i = 0; i < REQUESTS; i++)
		if (strcmp(requests[i].name, "UNSEAL") == 0)
			assert_int_equal(do_one(fixture, &requests[i]), MORTISE_OK);
	end_on_small_disk(fixture->audit_directory);
}

static void where_the_logs_disk_is_full_no_store_is_begun(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();

	(void)state;
	put_on_small_disk(fixture->audit_directory);
	fill_disk(fixture->audit_directory, 0);
	begin(fixture, NULL, NEW);
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].world == NEW)
			ask_as_root_on_full_disk(fixture, &requests[i]);
	end_on_small_disk(fixture->audit_directory);
}

static void on_a_store_disk_that_is_nearly_full_only_administrators_write(void **state)
{
	static const char low[] = "left, which are for administrators";
	struct keeper_fixture *fixture = keeper_prepare();

	(void)state;
	put_on_small_disk(fixture->store);
	begin(fixture, NULL, OPEN);
	prepare_all(fixture);
	fill_disk(fixture->store, 128 * 1024);
	for (size_t i = 0; i < REQUESTS; i++) {
		const struct row *row = row_of(&requests[i]);
		bool writes =
			strncmp(row->who, "write ", 6) == 0 || strncmp(row->who, "rotate ", 7) == 0;
		if (requests[i].world != OPEN || row->is_never_refused)
			continue;
		if (lacks_room(fixture, &callers[18], &requests[i], low) != writes)
			fail_msg("%s, not asked by an administrator", row->name);
		if (lacks_room(fixture, &callers[0], &requests[i], low))
			fail_msg("%s, asked by root", row->name);
	}
	end_on_small_disk(fixture->store);
}

static uint16_t delete_as(struct keeper_fixture *fixture, const struct caller *caller)
{
	const struct request request = {.name = "DELETE", .fill = x};
	struct asker *asker = open_as(fixture, caller);
	uint16_t code = ask(fixture, asker, &request, false);

	leave(asker);
	return code;
}

static void on_a_full_store_disk_only_an_administrator_has_the_reserve(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();
	char path[128];

	(void)state;
	put_on_small_disk(fixture->store);
	begin(fixture, NULL, OPEN);
	snprintf(path, sizeof path, "%s/reserve", fixture->store);
	for (unsigned i = 0; access(path, F_OK) != 0; i++) {
		assert_in_range(i, 0, TRIES);
		(void)do_one(fixture, &requests[1]);
	}
	fill_disk(fixture->store, 0);
	assert_int_equal(delete_as(fixture, &callers[18]), MORTISE_IO);
	assert_int_equal(delete_as(fixture, &callers[0]), MORTISE_OK);
	end_on_small_disk(fixture->store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_row_has_a_request_here, tear_down),
		cmocka_unit_test_teardown(
			each_row_takes_the_fields_of_its_table_and_no_others, tear_down),
		cmocka_unit_test_teardown(each_kind_of_caller_may_what_the_page_says, tear_down),
		cmocka_unit_test_teardown(
			while_sealed_each_kind_of_caller_may_what_the_page_says, tear_down),
		cmocka_unit_test_teardown(an_opcode_without_a_row_is_invalid, tear_down),
		cmocka_unit_test_teardown(
			a_dry_run_of_whatever_takes_it_changes_nothing, tear_down),
		cmocka_unit_test_teardown(
			what_is_recorded_has_a_line_and_what_changes_the_store_is_marked_so,
			tear_down),
		cmocka_unit_test_teardown(
			what_is_malformed_has_a_line_if_it_is_recorded, tear_down),
		cmocka_unit_test_teardown(every_denial_has_a_line_and_changes_nothing, tear_down),
		cmocka_unit_test_teardown(
			while_the_log_is_known_to_fail_nothing_is_changed_but_by_a_seal, tear_down),
		cmocka_unit_test_teardown(
			while_the_log_is_known_to_fail_no_store_is_made, tear_down),
		cmocka_unit_test_teardown(only_what_changes_has_a_line_that_comes_late, tear_down),
		cmocka_unit_test_teardown(
			on_the_last_of_the_logs_disk_administrators_free_room_and_nobody_does_else,
			tear_down),
		cmocka_unit_test_teardown(where_the_logs_disk_is_full_no_store_is_begun, tear_down),
		cmocka_unit_test_teardown(
			on_a_store_disk_that_is_nearly_full_only_administrators_write, tear_down),
		cmocka_unit_test_teardown(
			on_a_full_store_disk_only_an_administrator_has_the_reserve, tear_down),
	};
	if (!is_root()) {
		print_message("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, read_page, NULL);
}
