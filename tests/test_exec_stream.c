/* SPDX-License-Identifier: ISC */
/* exec_stream: what a terminal shows of what CMD writes. */
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_stream.h"
#include "mortise_test.h"

#define VALUE  "hunter2/hunter2"
#define MARK   "[mortise:prod/pw]"
#define PROMPT "> "

static const char value[] = VALUE, rest[] = VALUE ".";

/* As `exec` does with what CMD writes in one go, before a person who waits in front of it. */
static bool pass(struct exec_stream *stream, const char *text, size_t size)
{
	if (write(stream->given, text, size) != (ssize_t)size)
		return false;
	exec_stream_pump(stream);
	exec_stream_show(stream);
	return true;
}

/* In a process of its own, whose output and errors are the terminal. */
static bool run(size_t held, bool is_whole)
{
	struct exec_streams streams;
	struct mask *mask = NULL;
	bool is_masked = false;

	return mask_new(&mask) == MORTISE_OK &&
	       mask_add(mask, "prod/pw", (const uint8_t *)value, strlen(value), &is_masked) ==
		       MORTISE_OK &&
	       is_masked && mask_prepare(mask) == MORTISE_OK &&
	       exec_streams_open(mask, &streams) == MORTISE_OK &&
	       pass(&streams.list[0], PROMPT, strlen(PROMPT)) &&
	       pass(&streams.list[0], value, held) &&
	       (!is_whole || pass(&streams.list[0], rest + held, strlen(rest) - held));
}

static void assert_shown(size_t held, bool is_whole, const char *expected)
{
	char text[256] = "";
	int ours, terminal, status;

	assert_int_equal(openpty(&ours, &terminal, NULL, NULL, NULL), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(terminal, STDOUT_FILENO) < 0 || dup2(terminal, STDERR_FILENO) < 0)
			_exit(2);
		_exit(run(held, is_whole) ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fcntl(ours, F_SETFL, O_NONBLOCK), 0);
	for (ssize_t size = 0, got;
		(got = read(ours, text + size, sizeof text - 1 - (size_t)size)) > 0; size += got)
		;
	assert_string_equal(text, expected);
	assert_int_equal(close(ours), 0);
	assert_int_equal(close(terminal), 0);
}

static void a_person_sees_three_bytes_of_a_value_at_most(void **state)
{
	char expected[64];

	(void)state;
	for (size_t held = 1; held < strlen(value); held++) {
		int shown = held <= 3 ? (int)held : 0;

		(void)snprintf(expected, sizeof expected, PROMPT "%.*s", shown, value);
		assert_shown(held, false, expected);
		(void)snprintf(expected, sizeof expected, PROMPT "%.*s" MARK ".", shown, value);
		assert_shown(held, true, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_person_sees_three_bytes_of_a_value_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
