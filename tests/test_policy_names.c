/* SPDX-License-Identifier: ISC */
/* What becomes of rules whose names mean something else later. */
#include "keeper_fixture.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n"
#define ALICE_READS "[rule r]\nallow = read\nsecret = prod/*\nuser = alice\n"

/* Seconds that the keeper's monotonic clock is ahead of the kernel's; shared with the keeper. */
static _Atomic long *ahead_s;

int clock_gettime(clockid_t clock, struct timespec *out_now)
{
	long result = syscall(SYS_clock_gettime, clock, out_now);

	if (clock == CLOCK_BOOTTIME && ahead_s)
		out_now->tv_sec += *ahead_s;
	return (int)result;
}

static void unseal_again(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);
	unsigned lookups = fixture->lookups;

	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	keeper_await_lookups(fixture, lookups + 1);
	asker_close(asker);
}

static void assert_alice_may(struct keeper_fixture *fixture, uint64_t expected)
{
	become(ALICE, ALICE);
	struct asker *asker = asker_open(fixture);
	assert_int_equal(ask_get(fixture, asker, "prod/x", NULL), expected);
	become_root();
	asker_close(asker);
}

static void assert_disabled(struct keeper_fixture *fixture, const char *rules, const char *names)
{
	char text[256];

	keeper_fact(fixture, "policy_rules_disabled", text);
	assert_string_equal(text, rules);
	keeper_fact(fixture, "policy_names_changed", text);
	assert_string_equal(text, names);
}

static void a_name_that_is_gone_or_means_another_id_disables_its_allows(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST ALICE_READS "[rule s]\nallow = read\nsecret = b\nuser = alice\n"
						"group = dba\n");
	assert_alice_may(fixture, MORTISE_OK);
	fixture->gone_name = "alice";
	unseal_again(fixture);
	assert_disabled(fixture, "2", "user alice (gone)");
	assert_alice_may(fixture, MORTISE_DENIED);
	fixture->gone_name = NULL;
	fixture->moved_name = "alice";
	unseal_again(fixture);
	assert_disabled(fixture, "2", "user alice (another id now)");
	assert_alice_may(fixture, MORTISE_DENIED);
	fixture->moved_name = NULL;
	unseal_again(fixture);
	assert_disabled(fixture, "", "");
	assert_alice_may(fixture, MORTISE_OK);
}

static void names_are_looked_up_again_every_ten_minutes(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST ALICE_READS);
	fixture->gone_name = "alice";
	*ahead_s += 590;
	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	assert_disabled(fixture, "", "");
	assert_int_equal(fixture->lookups, 1);
	*ahead_s += 10;
	assert_int_equal(ask_plain(fixture, asker, WIRE_WHOAMI), MORTISE_OK);
	keeper_await_lookups(fixture, 2);
	assert_disabled(fixture, "1", "user alice (gone)");
	asker_close(asker);
}

static void a_name_service_that_is_down_disables_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST ALICE_READS);
	fixture->names_are_down = true;
	unseal_again(fixture);
	assert_disabled(fixture, "", "");
	assert_alice_may(fixture, MORTISE_OK);
}

static void a_deny_stays_by_the_id_of_a_name_that_is_gone(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_put(fixture, "prod/x", "value");
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = prod/*\nuser = 1000\n"
				    "[rule d]\ndeny = read\nuser = alice\n");
	fixture->gone_name = "alice";
	unseal_again(fixture);
	assert_disabled(fixture, "", "");
	assert_alice_may(fixture, MORTISE_DENIED);
}

/* Answers to a question about a policy that is no more. */
static void names_that_come_after_a_seal_or_another_policy_harm_nobody(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker = asker_open(fixture);

	keeper_apply(fixture, FIRST ALICE_READS);
	fixture->holds_names = true;
	fixture->gone_name = "alice";
	unseal_again(fixture);
	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	keeper_answer_names(fixture);
	unseal_again(fixture);
	keeper_apply(fixture, FIRST "[rule r]\nallow = read\nsecret = a\nuser = 5\n");
	keeper_answer_names(fixture);
	assert_disabled(fixture, "", "");
	asker_close(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_name_that_is_gone_or_means_another_id_disables_its_allows),
		WITH_STORE(names_are_looked_up_again_every_ten_minutes),
		WITH_STORE(a_name_service_that_is_down_disables_nothing),
		WITH_STORE(a_deny_stays_by_the_id_of_a_name_that_is_gone),
		WITH_STORE(names_that_come_after_a_seal_or_another_policy_harm_nobody),
	};

	ahead_s = mmap(
		NULL, sizeof *ahead_s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ahead_s == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
