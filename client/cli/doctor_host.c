/* SPDX-License-Identifier: ISC */
/* What lies beside the agent: its configuration, for the next start, and the host's clock. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "doctor.h"
#include "program.h"

#define CONFIG_DEFAULT   "/etc/mortise/mortised.conf"
#define POLICY_DIRECTORY "policy.d" /* beside the configuration */
#define OTHERS_WRITE     (S_IWGRP | S_IWOTH)
#define DAY_S            86400

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

void doctor_policy_directory(const struct doctor *doctor, char *path, size_t size)
{
	const char *config = config_path(doctor), *slash = strrchr(config, '/');

	(void)snprintf(path, size, "%.*s%s", slash != NULL ? (int)(slash + 1 - config) : 0, config,
		POLICY_DIRECTORY);
}

static void check_policy_directory(struct doctor *doctor)
{
	char path[4096];
	struct stat found;

	doctor_policy_directory(doctor, path, sizeof path);
	if (stat(path, &found) == 0 && check_writers(doctor, DOCTOR_WARNING, path, &found))
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is its owner's alone to write", path);
}

/* ---- mortised --check ---- */

/* The agent's own last word on it: said is its one line of complaint, or "". */
static int run_check(const char *config, struct program_said *said)
{
	const char *const argv[] = {MORTISE_MORTISED_PATH, "--check", "-c", config, NULL};
	int status = program_run(argv, PROGRAM_ERROR, said);

	said->text[strcspn(said->text, "\n")] = '\0';
	return status;
}

/* Of a TPM that is not there the agent's state says nothing as long as there is no store. */
static void tell_device(struct doctor *doctor, const char *said)
{
	const char *state = doctor_text(doctor->facts, "state");
	const char *text = strstr(said, ": ");

	if (text != NULL && (state == NULL || strcmp(state, "uninitialised") == 0))
		doctor_repeat(doctor, DOCTOR_WRONG, "", text + 2);
}

/* Only root, and whoever the agent is, sees what the agent will see. */
static void check_start(struct doctor *doctor, const char *path)
{
	struct program_said said = {""};
	char remedy[WIRE_TEXT_MAX];
	uint64_t agent = 0;
	bool is_agent = doctor_number(doctor->facts, "agent_uid", &agent) && agent == geteuid();
	int status = geteuid() == 0 || is_agent ? run_check(path, &said) : -1;

	(void)snprintf(remedy, sizeof remedy, "mortised --check -c %.900s", path);
	if (status > 0)
		doctor_say(doctor, DOCTOR_WRONG, remedy, "mortised would not start again: %s",
			said.text);
	else if (status == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "mortised would start with %s", path);
	if (status == 0)
		tell_device(doctor, said.text);
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
	check_policy_directory(doctor);
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
