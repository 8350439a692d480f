/* SPDX-License-Identifier: ISC */
#include "mortise_test.h"
#include "tpm_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RECORDING_MAX (1024 * 1024)

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		fail_msg("%s is not set", name);
	return value;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static pid_t start_wrapper(int stdin_fd, int stdout_fd)
{
	char program[512];
	pid_t pid;

	snprintf(program, sizeof program, "%s/swtpm-test/with-tpm",
		environment("MORTISE_TEST_SOURCE"));
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	dup2(stdin_fd, STDIN_FILENO);
	dup2(stdout_fd, STDOUT_FILENO);
	execl(program, program, "sh", "-c",
		"echo $MORTISE_TEST_TPM_PID $MORTISE_TEST_TPM_DIR; cat >/dev/null", (char *)NULL);
	_exit(127);
}

bool tpm_start(struct tpm_fixture *out_tpm)
{
	struct tpm_fixture tpm = {0};
	int hold[2], said[2];
	FILE *lines;
	int fields;

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	tpm.wrapper = start_wrapper(hold[0], said[1]);
	close(hold[0]);
	close(said[1]);
	lines = fdopen(said[0], "r");
	assert_non_null(lines);
	fields = fscanf(lines, "%d %95s", &tpm.swtpm, tpm.directory);
	fclose(lines);
	tpm.hold = hold[1];
	snprintf(tpm.tcti, sizeof tpm.tcti, "swtpm:path=%s/tpm.sock", tpm.directory);
	if (fields != 2) {
		close(tpm.hold);
		wait_for(tpm.wrapper);
		return false;
	}
	*out_tpm = tpm;
	return true;
}

void tpm_stop(struct tpm_fixture *tpm)
{
	if (tpm->wrapper == 0)
		return;
	close(tpm->hold);
	assert_int_equal(wait_for(tpm->wrapper), 0);
	assert_int_not_equal(access(tpm->directory, F_OK), 0);
	tpm->wrapper = 0;
}

static void await_socket(const char *path)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	struct stat status;

	for (int i = 0; i < 10000; i++) {
		if (stat(path, &status) == 0)
			return;
		nanosleep(&moment, NULL);
	}
	fail_msg("%s does not appear", path);
}

static void start_tap(const struct tpm_fixture *tpm, const char *name, char *const more[3],
	const char *lie, struct tap_fixture *out_tap)
{
	char program[512], socket[120], upstream[120];

	snprintf(program, sizeof program, "%s/tpm_tap", environment("MORTISE_TEST_BUILD"));
	snprintf(socket, sizeof socket, "%s/%s", tpm->directory, name);
	snprintf(upstream, sizeof upstream, "%s/tpm.sock", tpm->directory);
	snprintf(out_tap->log, sizeof out_tap->log, "%s.log", socket);
	snprintf(out_tap->tcti, sizeof out_tap->tcti, "swtpm:path=%.100s", socket);
	unlink(socket);
	out_tap->pid = fork();
	assert_true(out_tap->pid >= 0);
	if (out_tap->pid == 0) {
		/* A test that fails does not stop its tap. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (lie != NULL)
			execl(program, program, lie, socket, upstream, out_tap->log, (char *)NULL);
		else
			execl(program, program, socket, upstream, out_tap->log, more[0], more[1],
				more[2], (char *)NULL);
		_exit(127);
	}
	await_socket(socket);
}

void tap_start_for(const struct tpm_fixture *tpm, const char *name, uint32_t code,
	unsigned refusals, uint32_t command, struct tap_fixture *out_tap)
{
	char code_text[16], refusals_text[16], command_text[16];

	snprintf(code_text, sizeof code_text, "%u", (unsigned)code);
	snprintf(refusals_text, sizeof refusals_text, "%u", refusals);
	snprintf(command_text, sizeof command_text, "%u", (unsigned)command);
	start_tap(
		tpm, name, (char *const[]){code_text, refusals_text, command_text}, NULL, out_tap);
}

void tap_start(const struct tpm_fixture *tpm, const char *name, uint32_t code, unsigned refusals,
	struct tap_fixture *out_tap)
{
	tap_start_for(tpm, name, code, refusals, 0, out_tap);
}

void tap_start_lying(const struct tpm_fixture *tpm, const char *name, unsigned long seed,
	struct tap_fixture *out_tap)
{
	char lie[40];

	snprintf(lie, sizeof lie, "--lie=%lu", seed);
	start_tap(tpm, name, NULL, lie, out_tap);
}

void tap_stop(struct tap_fixture *tap)
{
	kill(tap->pid, SIGTERM);
	assert_int_equal(wait_for(tap->pid), 0);
}

unsigned tap_count(const struct tap_fixture *tap)
{
	char command[768];
	unsigned commands = 0;
	FILE *lines;

	snprintf(command, sizeof command, "'%s/tpm_tap' --count '%s'",
		environment("MORTISE_TEST_BUILD"), tap->log);
	lines = popen(command, "re");
	assert_non_null(lines);
	assert_int_equal(fscanf(lines, "%u", &commands), 1);
	while (fgetc(lines) != EOF)
		;
	assert_int_equal(pclose(lines), 0);
	return commands;
}

unsigned tap_count_of(const struct tap_fixture *tap, const char *name)
{
	char command[768];
	unsigned found = 0;
	FILE *lines;

	snprintf(command, sizeof command, "'%s/tpm_tap' --count '%s' | grep -cx '%s'",
		environment("MORTISE_TEST_BUILD"), tap->log, name);
	lines = popen(command, "re");
	assert_non_null(lines);
	assert_int_equal(fscanf(lines, "%u", &found), 1);
	(void)pclose(lines);
	return found;
}

bool tap_has(const struct tap_fixture *tap, const uint8_t *bytes, size_t size)
{
	uint8_t *recording = malloc(RECORDING_MAX);
	FILE *file = fopen(tap->log, "re");
	size_t recorded;
	bool is_there;

	assert_non_null(recording);
	assert_non_null(file);
	recorded = fread(recording, 1, RECORDING_MAX, file);
	fclose(file);
	assert_true(recorded > 0 && recorded < RECORDING_MAX);
	is_there = memmem(recording, recorded, bytes, size) != NULL;
	free(recording);
	return is_there;
}

int tpm_shell(const struct tpm_fixture *tpm, const char *tcti, const char *script)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("TPM2TOOLS_TCTI", tcti, 1);
		if (chdir(tpm->directory) == 0)
			execl("/bin/bash", "bash", "-c", script, (char *)NULL);
		_exit(127);
	}
	status = wait_for(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
