/* SPDX-License-Identifier: ISC */
/*
 * Every attribute of a caller: right, wrong, missing, malformed, its look-up failing; and what an
 * allow and a deny that name it make of that. Facts come from evidence, the decision from policy.
 */
#include <errno.h>

#include "evidence_fixture.h"
#include "policy.h"

enum condition { RIGHT, WRONG, MISSING, MALFORMED, FAILING, CONDITIONS };

static const char *const condition_names[] = {
	"right", "wrong", "missing", "malformed", "look-up failing"};

static struct policy *policy_of(const char *text)
{
	const struct policy_file file = {"p", text, strlen(text)};
	struct policy *policy = NULL;
	struct policy_error error = {""};

	if (policy_parse(&file, 1, &policy, &error) != MORTISE_OK ||
		policy_compile(policy, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
	return policy;
}

static bool decide(struct peer *peer, const char *text)
{
	struct policy *policy = policy_of(text);
	unsigned needed;

	for (int i = 0; (needed = policy_needs(policy, &peer->caller.subject)) != 0; i++) {
		assert_true(i < 4);
		evidence_gather(peer->evidence, &peer->caller, needed);
		if (needed & 1u << ATTRIBUTE_EXE)
			(void)peer_fact(peer, ATTRIBUTE_EXE);
	}
	bool allowed =
		policy_decide(policy, &peer->caller.subject, VERB_READ, "prod/x", 1000).allowed;
	policy_free(policy);
	return allowed;
}

/* Does an allow for uid 34 that names the attribute allow, and does a deny that names it deny? */
static void judge(struct peer *peer, enum condition condition, const char *attribute)
{
	char allow[256], deny[256];

	snprintf(allow, sizeof allow, "[rule a]\nallow=read\nsecret=**\nuser=34\n%s\n", attribute);
	snprintf(deny, sizeof deny,
		"[rule a]\nallow=read\nsecret=**\nuser=34\n[rule d]\ndeny=read\nsecret=**\n%s\n",
		attribute);
	if (decide(peer, allow) != (condition == RIGHT))
		fail_msg("an allow with %s: %s", attribute, condition_names[condition]);
	if (decide(peer, deny) != (condition == WRONG))
		fail_msg("a deny with %s: %s", attribute, condition_names[condition]);
}

static void unit_in_every_condition(void **state)
{
	static const char *const texts[] = {"0::/system.slice/backup.service\n",
		"0::/system.slice/other.service/backup.service\n", "0::/\n", "0:/backup.service",
		"0::/system.slice/backup.service\n"};
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (enum condition i = RIGHT; i < CONDITIONS; i++) {
		kernel_word.cgroup_id = 1000 + i; /* else the first one's would be remembered */
		peer_proc(peer, "cgroup", texts[i]);
		peer_identify(peer);
		peer_no_files(i == FAILING);
		judge(peer, i, "unit=backup.service");
		peer_no_files(false);
	}
}

static void exe_in_every_condition(void **state)
{
	static const char *const answers[] = {
		"/usr/bin/restic", "/usr/bin/restic2", "usr/bin/restic", "", NULL};
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (enum condition i = RIGHT; i < CONDITIONS; i++) {
		peer_witness(peer, answers[i]);
		peer_identify(peer);
		judge(peer, i, "exe=/usr/bin/restic");
	}
}

static void exe_without_a_witness_cannot_be_had(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_identify(peer);
	judge(peer, MISSING, "exe=/usr/bin/restic");
}

static void label_in_every_condition(void **state)
{
	static const char *const labels[] = {"system_u:system_r:backup_t:s0", "u:r:other_t:s0", "",
		"backup_t\nbackup_t", "system_u:system_r:backup_t:s0"};
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (enum condition i = RIGHT; i < CONDITIONS; i++) {
		kernel_word.label = labels[i];
		kernel_word.option = SO_PEERSEC;
		kernel_word.error = i == FAILING ? ENOPROTOOPT : 0;
		peer_identify(peer);
		judge(peer, i, "label=backup_t");
	}
}

static void socket_in_every_condition(void **state)
{
	static const struct fact facts[] = {{FACT_KNOWN, "web"}, {FACT_KNOWN, "main"},
		{FACT_UNGATHERED, NULL}, {FACT_UNKNOWN, NULL}, {FACT_UNKNOWN, NULL}};
	struct peer *peer = *state;

	NEEDS_ROOT();
	for (enum condition i = RIGHT; i < CONDITIONS; i++) {
		peer_identify(peer);
		peer->caller.subject.socket = facts[i];
		judge(peer, i, "socket=web");
	}
}

/* Ids are no facts that may be unknown: without them there is no caller at all. */
static void a_user_that_cannot_be_had_is_no_caller(void **state)
{
	static const struct ucred peers[] = {{0, PEER_UID, PEER_GID}, {-1, PEER_UID, PEER_GID},
		{1, 65534, PEER_GID}, {1, UINT32_MAX, PEER_GID}, {1, PEER_UID, UINT32_MAX}};
	struct peer *peer = *state;

	kernel_word.option = SO_PEERCRED;
	kernel_word.error = EINVAL;
	assert_int_equal(peer_try(peer), MORTISE_DENIED);
	kernel_word.error = 0;
	kernel_word.fakes_peer = true;
	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
		kernel_word.peer = peers[i];
		assert_int_equal(peer_try(peer), MORTISE_DENIED);
	}
}

static void ids_that_differ_from_the_processs_own_are_no_caller(void **state)
{
	struct peer *peer = *state;

	kernel_word.fakes_peer = true;
	kernel_word.peer = (struct ucred){peer->pid, PEER_UID + 1, PEER_GID};
	assert_int_equal(peer_try(peer), MORTISE_DENIED);
}

static void user_right_and_wrong(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_identify(peer);
	assert_true(decide(peer, "[rule a]\nallow=read\nsecret=**\nuser=34\n"));
	assert_false(decide(peer, "[rule a]\nallow=read\nsecret=**\nuser=35\n"));
}

static void groups_right_wrong_and_missing(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	peer_identify(peer);
	judge(peer, RIGHT, "group=50");
	judge(peer, RIGHT, "group=34");
	judge(peer, WRONG, "group=51");
	peer->caller.subject.group_count = 0;
	judge(peer, MISSING, "group=50");
}

static void groups_that_cannot_be_looked_up_are_no_caller(void **state)
{
	struct peer *peer = *state;

	kernel_word.option = SO_PEERGROUPS;
	for (int i = 0; i < 3; i++) {
		kernel_word.error = (int[]){EIO, ENODATA, ERANGE}[i];
		assert_int_equal(peer_try(peer), MORTISE_DENIED);
	}
}

static void a_pidfd_that_cannot_be_had_is_no_caller(void **state)
{
	struct peer *peer = *state;

	kernel_word.option = 77; /* SO_PEERPIDFD */
	for (int i = 0; i < 3; i++) {
		kernel_word.error = (int[]){ESRCH, EINVAL, ENODATA}[i];
		assert_int_equal(peer_try(peer), MORTISE_DENIED);
	}
	kernel_word.error = EMFILE; /* the keeper's trouble: the caller may try again */
	assert_int_equal(peer_try(peer), MORTISE_BUSY);
}

static void ids_that_cannot_be_read_are_no_caller(void **state)
{
	struct peer *peer = *state;

	NEEDS_ROOT();
	kernel_word.has_no_info = true;
	peer_identify(peer);
	peer_proc(peer, "status", "Name:\tx\nUid:\t34\t0\t34\t34\nGid:\t34\t34\t34\t34\n");
	assert_int_equal(peer_try(peer), MORTISE_DENIED);
	peer_proc(peer, "status", "Name:\tx\nGid:\t34\t34\t34\t34\n");
	assert_int_equal(peer_try(peer), MORTISE_DENIED);
	peer_proc(peer, "status", "");
	assert_int_equal(peer_try(peer), MORTISE_DENIED);
}

#define WITH_PEER(name) cmocka_unit_test_setup_teardown(name, set_up_peer, tear_down_peer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PEER(unit_in_every_condition),
		WITH_PEER(exe_in_every_condition),
		WITH_PEER(exe_without_a_witness_cannot_be_had),
		WITH_PEER(label_in_every_condition),
		WITH_PEER(socket_in_every_condition),
		WITH_PEER(a_user_that_cannot_be_had_is_no_caller),
		WITH_PEER(ids_that_differ_from_the_processs_own_are_no_caller),
		WITH_PEER(user_right_and_wrong),
		WITH_PEER(groups_right_wrong_and_missing),
		WITH_PEER(groups_that_cannot_be_looked_up_are_no_caller),
		WITH_PEER(a_pidfd_that_cannot_be_had_is_no_caller),
		WITH_PEER(ids_that_cannot_be_read_are_no_caller),
	};

	return cmocka_run_group_tests(tests, set_up_namespace, NULL);
}
