/* SPDX-License-Identifier: ISC */
/* What lies beside the agent: its configuration, for the next start, and the host's clock. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "doctor.h"

#define CONFIG_DEFAULT   "/etc/mortise/mortised.conf"
#define POLICY_DIRECTORY "policy.d" /* beside the configuration */
#define OTHERS_WRITE     (S_IWGRP | S_IWOTH)
#define DAY_S            86400

extern char **environ;

static const char *config_path(const struct doctor *doctor)
{
	const char *given = args_value(doctor->cli, "config");

	return given != NULL ? given : CONFIG_DEFAULT;
}

/* Who can write it decides which modules are loaded, or what the next policy is. */
static bool check_writers(
	struct doctor *doctor, enum severity severity, const char *path, const struct stat *found)
{
	char remedy[WIRE_TEXT_MAX];

	(void)snprintf(remedy, sizeof remedy, "chmod go-w %.900s", path);
	if (found->st_mode & OTHERS_WRITE)
		doctor_say(doctor, severity, remedy, "others than its owner can write %s", path);
	return (found->st_mode & OTHERS_WRITE) == 0;
}

static void check_policy_directory(struct doctor *doctor, const char *config)
{
	const char *slash = strrchr(config, '/');
	char path[4096];
	struct stat found;

	(void)snprintf(path, sizeof path, "%.*s%s", slash != NULL ? (int)(slash + 1 - config) : 0,
		config, POLICY_DIRECTORY);
	if (stat(path, &found) == 0 && check_writers(doctor, DOCTOR_WARNING, path, &found))
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is its owner's alone to write", path);
}

/* ---- mortised --check ---- */

/* Its one line of complaint into said; the child's exit status, or -1 if it could not be run. */
static int run_check(const char *config, char *said, size_t size)
{
	char *const argv[] = {
		(char[]){"mortised"}, (char[]){"--check"}, (char[]){"-c"}, strdup(config), NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], status = -1;
	pid_t child;

	if (argv[3] == NULL || pipe2(ends, O_CLOEXEC) != 0) {
		free(argv[3]);
		return -1;
	}
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	(void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	bool is_running =
		posix_spawn(&child, MORTISE_MORTISED_PATH, &actions, NULL, argv, environ) == 0;
	(void)posix_spawn_file_actions_destroy(&actions);
	free(argv[3]);
	(void)close(ends[1]);
	ssize_t got = is_running ? read(ends[0], said, size - 1) : 0;
	said[got > 0 ? got : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	(void)close(ends[0]);
	if (!is_running || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Only root, and whoever the agent is, sees what the agent will see. */
static void check_start(struct doctor *doctor, const char *path)
{
	char said[WIRE_TEXT_MAX], remedy[WIRE_TEXT_MAX];
	uint64_t agent = 0;
	bool is_agent = doctor_number(doctor->facts, "agent_uid", &agent) && agent == geteuid();
	int status = geteuid() == 0 || is_agent ? run_check(path, said, sizeof said) : -1;

	(void)snprintf(remedy, sizeof remedy, "mortised --check -c %.900s", path);
	if (status > 0)
		doctor_say(
			doctor, DOCTOR_WRONG, remedy, "mortised would not start again: %s", said);
	else if (status == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "mortised would start with %s", path);
}

void doctor_config(struct doctor *doctor)
{
	const char *path = config_path(doctor);
	char remedy[WIRE_TEXT_MAX];
	struct stat found;

	if (stat(path, &found) != 0) {
		doctor_say(doctor, args_has(doctor->cli, "config") ? DOCTOR_WRONG : DOCTOR_NOTE,
			"mortise doctor --config=F, with the agent's own",
			"%s was not looked at: %s", path, strerror(errno));
		return;
	}
	(void)snprintf(remedy, sizeof remedy, "chown root %.900s", path);
	if (found.st_uid != 0 && found.st_uid != geteuid())
		doctor_say(doctor, DOCTOR_WRONG, remedy,
			"%s belongs to uid %u, who so decides what the agent loads", path,
			found.st_uid);
	if (check_writers(doctor, DOCTOR_WRONG, path, &found))
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is its owner's alone to write", path);
	check_policy_directory(doctor, path);
	check_start(doctor, path);
}

/* ---- the clock ---- */

/* A clock that stands before this program was made has forgotten the time. */
void doctor_clock(struct doctor *doctor)
{
	const char *agents = doctor_text(doctor->facts, "clock");
	struct timex state = {0};
	struct stat program;
	time_t now = time(NULL);

	if (agents != NULL && strcmp(agents, "believed") != 0) {
		doctor_say(doctor, DOCTOR_WRONG,
			"timedatectl set-ntp true; or if it is right: mortise clock accept "
			"--note=WHY",
			"%s; rules with hours or an expiry deny, and nothing is purged", agents);
		return;
	}

	if (stat("/proc/self/exe", &program) == 0 && now + DAY_S < program.st_mtime) {
		doctor_say(doctor, DOCTOR_WRONG, "timedatectl set-ntp true",
			"the clock stands before the day this program was installed: rules with "
			"hours, and the audit log, go by it");
		return;
	}
	if (adjtimex(&state) < 0 || (state.status & STA_UNSYNC) == 0)
		doctor_say(
			doctor, DOCTOR_OK, NULL, "it is synchronised, as far as the kernel says");
	else
		doctor_say(doctor, DOCTOR_NOTE, "timedatectl set-ntp true",
			"it is not synchronised: rules with hours, and the audit log, go by it");
}
