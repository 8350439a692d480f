/* SPDX-License-Identifier: ISC */
/* exec_environment: what CMD finds in its environment. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "mortise_test.h"

static char *const inherited[] = {"HOME=/home/alice", "LANG=C", "LOGNAME=alice", "PATH=/bin",
	"SHELL=/bin/sh", "TERM=vt100", "TMPDIR=/tmp", "TZ=UTC", "USER=alice", "LC_ALL=C.UTF-8",
	"LC_TIME=C"};

/* What makes another program of CMD, holds a secret, or has a name that is nearly one of those. */
static char *const foreign[] = {"LD_PRELOAD=/tmp/x.so", "LD_LIBRARY_PATH=/tmp", "LD_AUDIT=/tmp/x",
	"LD_BIND_NOW=1", "GCONV_PATH=/tmp", "GLIBC_TUNABLES=x=1", "MALLOC_TRACE=/tmp/x",
	"BASH_ENV=/tmp/x", "ENV=/tmp/x", "IFS=/", "PYTHONPATH=/tmp", "PERL5LIB=/tmp",
	"NODE_OPTIONS=-r/tmp/x", "AWS_SECRET_ACCESS_KEY=x", "MORTISE_SOCKET=/tmp/x", "LISTEN_FDS=1",
	"NOTIFY_SOCKET=/tmp/x", "LC=x", "LCX=x", "LANGUAGE=x", "HOM=x", "HOMES=x", "PATHS=x",
	"path=x", "T=x", "=x", "LC_X", "PATH"};

#define INHERITED (sizeof inherited / sizeof inherited[0])
#define FOREIGN   (sizeof foreign / sizeof foreign[0])

static bool has(const struct exec_environment *environment, const char *variable)
{
	for (size_t i = 0; i < environment->count; i++)
		if (strcmp(environment->variables[i], variable) == 0)
			return true;
	return false;
}

static void make(const struct exec_plan *plan, bool is_clean, struct exec_environment *environment)
{
	char *all[INHERITED + FOREIGN + 1] = {NULL}, **before = environ;

	memcpy(all, foreign, sizeof foreign);
	memcpy(all + FOREIGN, inherited, sizeof inherited);
	environ = all;
	enum mortise_status status = exec_environment_make(plan, is_clean, environment);
	environ = before;
	assert_int_equal(status, MORTISE_OK);
}

static void a_clean_environment_says_who_and_where_one_is_and_nothing_else(void **state)
{
	const struct exec_plan plan = {.count = 0};
	struct exec_environment environment;

	(void)state;
	make(&plan, true, &environment);
	for (size_t i = 0; i < INHERITED; i++)
		if (!has(&environment, inherited[i]))
			fail_msg("%s is not there", inherited[i]);
	for (size_t i = 0; i < FOREIGN; i++)
		if (has(&environment, foreign[i]))
			fail_msg("%s is there", foreign[i]);
	assert_int_equal(environment.count, INHERITED);
	exec_environment_done(&environment);
}

static void another_has_all_that_is_a_variable(void **state)
{
	const struct exec_plan plan = {.count = 0};
	struct exec_environment environment;

	(void)state;
	make(&plan, false, &environment);
	assert_true(has(&environment, "LD_PRELOAD=/tmp/x.so"));
	assert_true(has(&environment, "PATH=/bin"));
	assert_int_equal(environment.count, INHERITED + FOREIGN - 2); /* two have no '=' */
	exec_environment_done(&environment);
}

static void what_is_planned_takes_the_place_of_what_is_named_so(void **state)
{
	char path[] = "PATH", lib[] = "LD_LIBRARY_PATH";
	struct exec_variable variables[] = {
		{.name = path, .literal = "/opt/bin", .item = EXEC_PLAN_LITERAL},
		{.name = lib, .literal = "/opt/lib", .item = EXEC_PLAN_LITERAL}};
	const struct exec_plan plan = {.variables = variables, .count = 2};

	(void)state;
	for (int is_clean = 0; is_clean <= 1; is_clean++) {
		struct exec_environment environment;
		make(&plan, is_clean, &environment);
		assert_true(has(&environment, "PATH=/opt/bin"));
		assert_false(has(&environment, "PATH=/bin"));
		assert_true(has(&environment, "LD_LIBRARY_PATH=/opt/lib"));
		assert_false(has(&environment, "LD_LIBRARY_PATH=/tmp"));
		exec_environment_done(&environment);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_environment_says_who_and_where_one_is_and_nothing_else),
		cmocka_unit_test(another_has_all_that_is_a_variable),
		cmocka_unit_test(what_is_planned_takes_the_place_of_what_is_named_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
