/* SPDX-License-Identifier: ISC */
/* proc: what is not in the kernel's memory is not looked up. */
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mortise_test.h"
#include "proc.h"

static pid_t child;

static int set_up(void **state)
{
	(void)state;
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return child > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	return waitpid(child, NULL, 0) == child ? 0 : -1;
}

static enum mortise_status read_own(const char *name, char text[256])
{
	size_t size = 0;
	enum mortise_status status = proc_read((uint32_t)child, name, text, 255, &size);

	if (status == MORTISE_OK)
		text[size] = '\0';
	return status;
}

static void as_it_begins_a_name_is_looked_up(void **state)
{
	char text[256], path[64];

	(void)state;
	assert_int_equal(read_own("comm", text), MORTISE_OK);
	assert_int_equal(read_own("nothing", text), MORTISE_NOT_FOUND);
	snprintf(path, sizeof path, "/proc/%d/comm", (int)child);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_name_that_nobody_has_looked_up_is_not_looked_up(void **state)
{
	char text[256], path[64];

	(void)state;
	if (!proc_never_wait())
		skip(); /* before Linux 5.16 */
	assert_false(proc_knows((uint32_t)child, "comm"));
	assert_int_equal(read_own("comm", text), MORTISE_BUSY);
	snprintf(path, sizeof path, "/proc/%d/comm", (int)child);
	assert_int_equal(access(path, F_OK), 0);
	assert_true(proc_knows((uint32_t)child, "comm"));
	assert_int_equal(read_own("comm", text), MORTISE_OK);
	assert_string_equal(text, "test_proc\n");
}

static void what_does_not_fit_is_not_had(void **state)
{
	char text[4];
	size_t size = 0;

	(void)state;
	assert_int_equal(proc_read((uint32_t)getpid(), "status", text, sizeof text, &size),
		MORTISE_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_it_begins_a_name_is_looked_up),
		TEST(what_does_not_fit_is_not_had),
		TEST(a_name_that_nobody_has_looked_up_is_not_looked_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
