/* SPDX-License-Identifier: ISC */
/*
 * What `policy check` says and what the agent does, over random policies and callers: users,
 * groups, listeners and units that are real, a label and a program that cannot be had. Each
 * question is put to CHECK by an admin, and then asked in earnest by the caller.
 */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "policy.h"

#define POLICIES  150
#define CALLERS   6  /* of a policy */
#define QUESTIONS 10 /* of a caller */
#define WEB_VERBS (VERB_READ | VERB_WRITE)

static const char *const paths[] = {"prod/db/a", "prod/db/b", "prod/x", "dev/a", "dev/db/a"};
static const char *const units[] = {"/system.slice/a.service", "/x.slice/b.service", "/"};
static char cgroup[96];
static uint64_t seed;

static struct counts {
	unsigned questions, allowed, refused_policies;
} counts;

static unsigned draw(unsigned below)
{
	uint64_t value = (seed += UINT64_C(0x9e3779b97f4a7c15));

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((value ^ value >> 31) % below);
}

#define PICK(list) ((list)[draw(sizeof(list) / sizeof((list)[0]))])

/* ---- policies ---- */

struct text {
	char at[8192];
	size_t used;
};

/* "key = word word", of words that are by blanks. */
static void add(struct text *text, const char *key, const char *const *words, unsigned count)
{
	const char *one = words[draw(count)], *other = words[draw(count)];

	text->used += (size_t)snprintf(text->at + text->used, sizeof text->at - text->used,
		"%s = %s%s%s\n", key, one, one == other ? "" : " ", one == other ? "" : other);
	assert_true(text->used < sizeof text->at);
}

#define ADD(text, key, list) add(text, key, list, sizeof(list) / sizeof((list)[0]))

static void add_rule(struct text *text, unsigned number)
{
	static const char *const verbs[] = {"read", "list", "write", "delete"};
	static const char *const patterns[] = {"**", "prod/**", "prod/db/*", "*/db/a", "dev/a"};
	static const char *const users[] = {"alice", "backup", "34", "1001", "0"};
	static const char *const groups[] = {"dba", "4711", "34", "7"};
	static const char *const unit_names[] = {"a.service", "b.service", "x.slice"};
	static const char *const sockets[] = {"web", "main"}, *const exes[] = {"/bin/a"};
	static const char *const labels[] = {"x_t"}, *const all[] = {"audit", "admin"};
	static const char *const hours[] = {"00:00-12:00Z", "12:00-24:00Z", "23:00-11:00"};
	static const char *const days[] = {"mon-wed", "thu-sun", "fri"};
	static const char *const whole[] = {"**"};
	bool is_deny = draw(4) == 0, is_alone = draw(6) == 0;
	unsigned who = draw(8);

	text->used += (size_t)snprintf(
		text->at + text->used, sizeof text->at - text->used, "[rule r%u]\n", number);
	if (is_alone)
		ADD(text, is_deny ? "deny" : "allow", all);
	else
		ADD(text, is_deny ? "deny" : "allow", verbs);
	if (!is_alone && draw(3))
		ADD(text, "secret", patterns);
	else if (!is_deny)
		ADD(text, "secret", whole);
	if (who < 3 || draw(8) == 0)
		ADD(text, "user", users);
	if (who == 3 || who == 4 || draw(8) == 0)
		ADD(text, "group", groups);
	if (who == 5 || draw(8) == 0)
		ADD(text, "unit", unit_names);
	if (who == 6)
		add(text, "socket", sockets, 1);
	else if (draw(8) == 0)
		ADD(text, "socket", sockets);
	if (who == 7 || draw(16) == 0)
		ADD(text, "label", labels);
	if (draw(16) == 0)
		ADD(text, "exe", exes);
	if (draw(8) == 0)
		ADD(text, "hours", hours);
	if (draw(8) == 0)
		ADD(text, "days", days);
}

/* One that may not lock out who applies it: then there is another. */
static void apply_some(struct keeper_fixture *fixture, struct asker *admin, struct text *text)
{
	uint16_t code;

	do {
		*text = (struct text){"[rule keep]\nallow = admin\nuser = 0\nsocket = main\n", 0};
		text->used = strlen(text->at);
		for (unsigned i = 0, rules = 1 + draw(12); i < rules; i++)
			add_rule(text, i);
		code = ask_apply(fixture, admin, text->at);
		counts.refused_policies += code != MORTISE_OK;
		if (code != MORTISE_OK && !strstr(admin->text, "admin"))
			fail_msg("%s\n%s", admin->text, text->at);
	} while (code != MORTISE_OK);
}

/* ---- callers ---- */

struct somebody {
	uint32_t uid;
	gid_t groups[3];
	size_t group_count;
	const char *unit;
	bool is_at_web;
};

static struct somebody draw_somebody(void)
{
	static const uint32_t uids[] = {0, BACKUP, ALICE, 1001, 65533};
	static const gid_t groups[] = {DBA_GROUP, 4711, 34, 7};
	struct somebody somebody = {.uid = PICK(uids),
		.group_count = 1 + draw(3),
		.unit = PICK(units),
		.is_at_web = draw(3) == 0};

	for (size_t i = 0; i < somebody.group_count; i++)
		somebody.groups[i] = PICK(groups);
	return somebody;
}

static void be_in_unit(const char *unit)
{
	char line[96];
	int fd = open(cgroup, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int size = snprintf(line, sizeof line, "0::%s\n", unit);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, (size_t)size), size);
	close(fd);
}

static struct asker *open_as(struct keeper_fixture *fixture, const struct somebody *somebody)
{
	gid_t first = somebody->groups[0];

	be_in_unit(somebody->unit);
	assert_int_equal(setgroups(somebody->group_count, somebody->groups), 0);
	assert_int_equal(setresgid(first, first, 0), 0);
	assert_int_equal(setresuid(somebody->uid, somebody->uid, 0), 0);
	return asker_open_at(fixture, somebody->is_at_web ? fixture->web_socket : fixture->socket);
}

static void be_root_again(void)
{
	assert_int_equal(setresuid(0, 0, 0), 0);
	assert_int_equal(setresgid(0, 0, 0), 0);
}

/* ---- the two answers ---- */

struct question {
	enum verb verb;
	const char *path; /* NULL: none */
	bool is_allowed;  /* as CHECK says */
};

static struct question draw_question(void)
{
	struct question question = {.verb = (enum verb)(1u << draw(7))};

	if (question.verb == VERB_ROTATE) /* which nobody can ask for yet */
		question.verb = VERB_READ;
	if (question.verb < VERB_AUDIT)
		question.path = PICK(paths);
	return question;
}

static bool is_allowed(struct keeper_fixture *fixture, struct asker *admin,
	const struct somebody *somebody, const struct question *question)
{
	struct wire_writer *writer = asker_begin(admin, WIRE_POLICY_CHECK);
	uint64_t number = 2;
	char user[16], groups[64] = "";

	if (question->path)
		wire_put_text(writer, WIRE_TAG_PATH, question->path);
	if (somebody->is_at_web)
		wire_put_text(writer, WIRE_TAG_NAME, "web");
	snprintf(user, sizeof user, "%u", somebody->uid);
	wire_put_text(writer, WIRE_TAG_USER, user);
	for (size_t i = 0; i < somebody->group_count; i++)
		snprintf(groups + strlen(groups), sizeof groups - strlen(groups), "%s%u",
			i ? " " : "", somebody->groups[i]);
	wire_put_text(writer, WIRE_TAG_GROUP, groups);
	wire_put_text(writer, WIRE_TAG_VERB, verb_name(question->verb));
	wire_put_text(writer, WIRE_TAG_UNIT, strcmp(somebody->unit, "/") ? somebody->unit : "?");
	if (asker_call(fixture, admin) != MORTISE_OK)
		fail_msg("CHECK by %s: %u %s", user, admin->reply.code, admin->text);
	assert_int_equal(wire_number(&admin->reply, WIRE_TAG_NUMBER, &number), MORTISE_OK);
	return number == 1;
}

/* LIST shows what one may see. */
static bool may_see(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	struct wire_message fields;
	struct wire_field item;

	wire_put_text(asker_begin(asker, WIRE_LIST), WIRE_TAG_PREFIX, path);
	assert_int_equal(asker_call(fixture, asker), MORTISE_OK);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	if (!wire_list_next(&list, &item))
		return false;
	assert_int_equal(wire_parse_fields(item.bytes, item.size, &fields), MORTISE_OK);
	return true;
}

static uint64_t ask_set_dryly(struct keeper_fixture *fixture, struct asker *asker, const char *path)
{
	static const uint8_t token[WIRE_TOKEN_SIZE];
	struct wire_writer *writer = asker_begin(asker, WIRE_SET);

	wire_put_text(writer, WIRE_TAG_PATH, path);
	wire_put_text(writer, WIRE_TAG_VALUE, "value");
	wire_put(writer, WIRE_TAG_TOKEN, token, sizeof token);
	wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	return asker_call(fixture, asker);
}

/* DENIED, or what came of it. */
static uint64_t ask(
	struct keeper_fixture *fixture, struct asker *asker, const struct question *question)
{
	switch (question->verb) {
	case VERB_READ:
		return ask_get(fixture, asker, question->path, NULL);
	case VERB_LIST:
		if (draw(2))
			return ask_path(fixture, asker, WIRE_SHOW, question->path);
		return may_see(fixture, asker, question->path) ? MORTISE_OK : MORTISE_DENIED;
	case VERB_WRITE:
		if (draw(2))
			return ask_set(fixture, asker, question->path, "new", 3);
		return ask_set_dryly(fixture, asker, question->path);
	case VERB_DELETE:
		wire_put_text(asker_begin(asker, WIRE_DELETE), WIRE_TAG_PATH, question->path);
		wire_put_number(&asker->writer, WIRE_TAG_DRY_RUN, 1);
		return asker_call(fixture, asker);
	case VERB_AUDIT:
		return ask_plain(fixture, asker, WIRE_AUDIT_KEY);
	default:
		return ask_plain(fixture, asker, WIRE_POLICY_SHOW);
	}
}

static void judge(const struct text *policy, const struct somebody *somebody,
	const struct question *question, const char *said, uint64_t status)
{
	if (status != MORTISE_OK && status != MORTISE_DENIED)
		fail_msg("%s %s: status %u", verb_name(question->verb),
			question->path ? question->path : "", (unsigned)status);
	counts.questions++;
	counts.allowed += status == MORTISE_OK;
	if (question->is_allowed != (status == MORTISE_OK))
		fail_msg("%s\nuid %u gids %u.. (%zu) unit %s at %s\ncheck: %s\nthe agent: %s",
			policy->at, somebody->uid, somebody->groups[0], somebody->group_count,
			somebody->unit, somebody->is_at_web ? "web" : "main", said,
			status == MORTISE_OK ? "ok" : "denied");
}

/* Each frame's sender has to be who connected: first the admin asks all, then the caller. */
static void ask_both(struct keeper_fixture *fixture, struct asker *admin, const struct text *policy)
{
	struct somebody somebody = draw_somebody();
	struct question questions[QUESTIONS];
	char said[QUESTIONS][256];
	uint64_t statuses[QUESTIONS];

	for (unsigned i = 0; i < QUESTIONS; i++) {
		questions[i] = draw_question();
		questions[i].is_allowed = is_allowed(fixture, admin, &somebody, &questions[i]);
		snprintf(said[i], sizeof said[i], "%.255s", admin->text);
	}
	struct asker *asker = open_as(fixture, &somebody);
	for (unsigned i = 0; i < QUESTIONS; i++)
		statuses[i] = ask(fixture, asker, &questions[i]);
	be_root_again();
	asker_close(asker);
	for (unsigned i = 0; i < QUESTIONS; i++)
		judge(policy, &somebody, &questions[i], said[i], statuses[i]);
}

static void a_list_may_be_the_first_request_of_a_unit(void **state)
{
	const struct somebody job = {ALICE, {ALICE}, 1, units[0], false};
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, "[rule keep]\nallow = admin\nuser = 0\n"
			      "[rule job]\nallow = list\nsecret = **\nunit = a.service\n");
	struct asker *asker = open_as(fixture, &job);
	bool has_seen = may_see(fixture, asker, "prod/x");
	be_root_again();
	asker_close(asker);
	assert_true(has_seen);
}

static void policy_check_and_the_agent_never_disagree(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *admin = asker_open(fixture);
	const char *given = getenv("MORTISE_SEED");
	struct text policy;

	NEEDS_ROOT();
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("MORTISE_SEED=%llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		keeper_put(fixture, paths[i], "value");
	for (unsigned i = 0; i < POLICIES; i++) {
		apply_some(fixture, admin, &policy);
		for (unsigned j = 0; j < CALLERS; j++)
			ask_both(fixture, admin, &policy);
	}
	print_message("%u questions, %u allowed; %u policies refused\n", counts.questions,
		counts.allowed, counts.refused_policies);
	assert_true(counts.allowed > counts.questions / 20);
	asker_close(admin);
}

/* ---- the fixture ---- */

/* This very process, in a mount namespace of its own, has a cgroup that it may say itself. */
static void bind_cgroup(const struct keeper_fixture *fixture)
{
	char target[64];

	snprintf(cgroup, sizeof cgroup, "%s/cgroup", fixture->directory);
	snprintf(target, sizeof target, "/proc/%d/cgroup", (int)getpid());
	close(open(cgroup, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	(void)umount(target); /* of the test before */
	assert_int_equal(mount(cgroup, target, NULL, MS_BIND, NULL), 0);
	be_in_unit("/");
}

/* A cgroup's id would be believed, and one id has one unit: the keeper is to read /proc. */
static void without_cgroup_ids(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp compare = {1, SCMP_CMP_MASKED_EQ, 0xffff, 0xff0b}; /* PIDFD_GET_INFO */

	if (!filter ||
		seccomp_rule_add_array(
			filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1, &compare) != 0 ||
		seccomp_load(filter) != 0)
		_exit(98);
	seccomp_release(filter);
}

static int set_up_doors(void **state)
{
	struct keeper_fixture *fixture = keeper_prepare();

	*state = fixture;
	if (is_root())
		bind_cgroup(fixture);
	fixture->before = without_cgroup_ids;
	keeper_listen_web(fixture, WEB_VERBS);
	keeper_start(fixture);
	keeper_init(fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_list_may_be_the_first_request_of_a_unit, set_up_doors, tear_down_keeper),
		cmocka_unit_test_setup_teardown(
			policy_check_and_the_agent_never_disagree, set_up_doors, tear_down_keeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
