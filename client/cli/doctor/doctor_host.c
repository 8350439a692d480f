/* SPDX-License-Identifier: ISC */
#include "doctor_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "policy_change.h"
#include "policy_grants.h"
#include "policy_units.h"
#include "program.h"

#define CONFIG_DEFAULT "/etc/mortise/mortised.conf"
#define OTHERS_WRITE   (S_IWGRP | S_IWOTH)
#define DAY_S          86400

static const char *config_path(const struct doctor *doctor)
{
	const char *given = args_value(doctor->cli, "config");

	return given ? given : CONFIG_DEFAULT;
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

/* Beside the agent's configuration. */
static void policy_directory(const struct doctor *doctor, char *path, size_t size)
{
	const char *config = config_path(doctor), *slash = strrchr(config, '/');

	(void)snprintf(
		path, size, "%.*s%s", slash ? (int)(slash + 1 - config) : 0, config, "policy.d");
}

static void check_policy_directory(struct doctor *doctor)
{
	char path[4096];
	struct stat found;

	policy_directory(doctor, path, sizeof path);
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

	if (text && (!state || strcmp(state, "uninitialised") == 0))
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

	if (agents && strcmp(agents, "believed") != 0) {
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

/* The policy in force, malloc'ed; NULL where it may not be seen. */
static char *fetch_policy(struct doctor *doctor)
{
	struct cli quiet = *doctor->cli;
	uint64_t version = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	quiet.is_quiet = true;
	bool is_whole = out && policy_fetch(&quiet, out, &version) == CLI_DONE;
	if (out)
		is_whole &= fclose(out) == 0;
	if (is_whole)
		return text;
	free(text);
	return NULL;
}

/* A group or a unit may stand for several. NULL: there are two. */
static const char *only_one(const struct policy_grants *grants)
{
	const char *one = NULL;

	for (size_t i = 0; i < grants->count; i++) {
		const struct policy_grant *grant = &grants->list[i];

		if (grant->is_deny || (one && strcmp(one, grant->who) == 0))
			continue;
		if (one || strncmp(grant->who, "group ", 6) == 0 ||
			strncmp(grant->who, "gid ", 4) == 0)
			return NULL;
		one = grant->who;
	}
	return one ? one : "nobody";
}

static void check_admins(struct doctor *doctor)
{
	struct policy_grants grants = {0};

	if (policy_grants_who(doctor->cli, NULL, "admin", &grants) != MORTISE_OK) {
		doctor_repeat(doctor, DOCTOR_WARNING, "administrators could not be listed: ",
			mortise_message(doctor->cli->agent));
	} else {
		const char *one = only_one(&grants);

		if (one)
			doctor_say(doctor, DOCTOR_NOTE, "mortise policy edit",
				"there is no second administrator beside %s", one);
		else
			doctor_say(doctor, DOCTOR_OK, NULL, "there is more than one administrator");
	}
	policy_grants_drop(&grants);
}

/* ---- what lies in policy.d, and what is in force ---- */

static void release(char **text)
{
	free(*text);
}

static const struct policy_file *find_file(const struct policy_files *files, const char *name)
{
	for (int i = 0; i < files->count; i++)
		if (strcmp(files->file[i].name, name) == 0)
			return &files->file[i];
	return NULL;
}

static void compare(struct doctor *doctor, const char *directory, const struct policy_files *here,
	const struct policy_files *in_force)
{
	for (int i = 0; i < here->count; i++) {
		const struct policy_file *file = &here->file[i];
		const struct policy_file *applied = find_file(in_force, file->name);

		if (!applied || applied->size != file->size ||
			memcmp(applied->bytes, file->bytes, file->size) != 0)
			doctor_say(doctor, DOCTOR_WARNING, "mortise policy apply",
				!applied ? "%s/%s was not applied"
					 : "%s/%s is not what was applied",
				directory, file->name);
	}
	for (int i = 0; i < in_force->count; i++)
		if (!find_file(here, in_force->file[i].name))
			doctor_say(doctor, DOCTOR_NOTE, "mortise policy show",
				"%s is in force, and not in %s: the next policy apply takes it "
				"away",
				in_force->file[i].name, directory);
}

/* A file may itself be one that was shown: the texts as a whole say whether they are the same. */
static bool is_same(const struct policy_files *here, const char *in_force)
{
	CLEANUP(release) char *text = policy_files_shown(here);

	return text && strcmp(text, in_force) == 0;
}

/* The files are only what a policy is made from: none, or none that may be read, is no fault. */
static void check_files(struct doctor *doctor)
{
	CLEANUP(policy_files_drop) struct policy_files here = {.count = 0};
	CLEANUP(policy_files_drop) struct policy_files in_force = {.count = 0};
	CLEANUP(release) char *text = NULL;
	struct cli quiet = *doctor->cli;
	char directory[4096];

	quiet.is_quiet = true;
	policy_directory(doctor, directory, sizeof directory);
	if (access(directory, R_OK | X_OK) != 0)
		return;
	text = fetch_policy(doctor);
	bool is_read = policy_files_read(&quiet, directory, &here) == CLI_DONE;
	if (is_read && text && is_same(&here, text))
		doctor_say(doctor, DOCTOR_OK, NULL, "what is in %s is in force", directory);
	else if (is_read && text && policy_files_split(text, &in_force))
		compare(doctor, directory, &here, &in_force);
	else if (here.count == 0)
		doctor_say(doctor, DOCTOR_NOTE, "mortise policy show, and keep it there",
			"%s has no file *" POLICY_ENDING ": the policy is in the store alone",
			directory);
}

void doctor_policy(struct doctor *doctor)
{
	const char *changed = doctor_text(doctor->facts, "policy_names_changed");
	const char *quotas = doctor_text(doctor->facts, "quotas_nearly_used");
	uint64_t disabled = 0, rules = 0;

	if (doctor_number(doctor->facts, "policy_rules_disabled", &disabled) && disabled > 0)
		doctor_say(doctor, DOCTOR_WARNING, "mend the names, then mortise policy apply",
			"%llu rule%s of the policy %s disabled, since names changed: %s",
			(unsigned long long)disabled, disabled == 1 ? "" : "s",
			disabled == 1 ? "is" : "are", changed ? changed : "");
	else if (doctor_number(doctor->facts, "policy_rules", &rules))
		doctor_say(doctor, DOCTOR_OK, NULL, "%llu rules, and all in force",
			(unsigned long long)rules);
	if (quotas)
		doctor_say(doctor, DOCTOR_WARNING,
			"destroy what is not needed, or give it more in the policy",
			"quotas that are nearly used up: %s", quotas);
	if (!doctor->is_admin || !doctor->is_unsealed)
		return;
	check_admins(doctor);
	check_files(doctor);
}

/* Can callers be told apart, and can what the policy says of units come true? */

#define AGENT_UNIT "mortised.service"

/* What hides /proc from the agent: the host's own mount of it, or a setting of the agent's unit. */
static void find_remedy(char *remedy, size_t size)
{
	static const char *const settings[] = {"systemctl", "show", "--property=ProtectProc",
		"--property=ProcSubset", AGENT_UNIT, NULL};
	static const char *const mounts[] = {
		"findmnt", "--noheadings", "--output=OPTIONS", "/proc", NULL};
	struct program_said said;

	if (program_run(mounts, PROGRAM_OUTPUT, &said) == 0 && strstr(said.text, "hidepid="))
		(void)snprintf(remedy, size,
			"mount /proc without hidepid=, or with gid= of a group that the agent's "
			"user "
			"is in, then restart mortised");
	else if (program_run(settings, PROGRAM_OUTPUT, &said) == 0 &&
		 (strstr(said.text, "ProtectProc=invisible") ||
			 strstr(said.text, "ProtectProc=ptraceable") ||
			 strstr(said.text, "ProtectProc=noaccess")))
		(void)snprintf(remedy, size,
			"take ProtectProc= out of " AGENT_UNIT
			" (systemctl edit mortised), then restart mortised");
	else
		(void)snprintf(remedy, size,
			"let the agent's user see /proc: no hidepid=, no ProtectProc= or "
			"ProcSubset=");
}

/* Of which section is it a fault, that no unit can be told? */
static void check_evidence(struct doctor *doctor, bool names_units)
{
	const char *units = doctor_text(doctor->facts, "evidence_unit");
	const char *users = doctor_text(doctor->facts, "evidence_user");
	char remedy[200];

	if (units && strncmp(units, "none", 4) == 0) {
		find_remedy(remedy, sizeof remedy);
		doctor_say(doctor, names_units ? DOCTOR_WRONG : DOCTOR_WARNING, remedy,
			"units can't be told apart, so no rule and no credential of a unit allows "
			"anything: /proc hides the processes of others from the agent");
	} else if (units) {
		doctor_say(doctor, DOCTOR_OK, NULL, "units are told apart by %s", units);
	}
	if (users && strcmp(users, "all") != 0)
		doctor_say(doctor, DOCTOR_NOTE, NULL, "of users only %s", users);
}

static void check_units(struct doctor *doctor, struct policy_units *units)
{
	size_t wrong = 0;

	if (!policy_units_ask(units))
		return;
	for (size_t i = 0; i < units->count; i++) {
		const struct policy_unit *unit = &units->unit[i];

		wrong += unit->is_nobody;
		if (unit->is_nobody)
			doctor_say(doctor, DOCTOR_WRONG,
				"give it a User= of its own, or a [credential] (LoadCredential=)",
				"[%s] can never match in unit %s, which runs as nobody: uid 65534 "
				"is "
				"never served",
				unit->section, unit->name);
		else if (!unit->is_there)
			doctor_say(doctor, DOCTOR_NOTE, "mortise policy edit",
				"[%s] names unit %s, which this host does not have", unit->section,
				unit->name);
	}
	if (wrong == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "no unit of a rule runs as nobody");
}

void doctor_units(struct doctor *doctor)
{
	CLEANUP(policy_files_drop) struct policy_files files = {.count = 0};
	CLEANUP(policy_units_drop) struct policy_units units = {NULL, 0};
	const char *missing = doctor_text(doctor->facts, "credentials_without_value");
	uint64_t credentials = 0;

	char *text = doctor->is_admin && doctor->is_unsealed ? fetch_policy(doctor) : NULL;

	if (text)
		(void)policy_files_split(text, &files);
	free(text);
	policy_units_find(&files, "rule", &units);
	(void)doctor_number(doctor->facts, "credentials", &credentials);
	check_evidence(doctor, credentials > 0 || units.count > 0);
	check_units(doctor, &units);
	if (missing)
		doctor_say(doctor, DOCTOR_WRONG, "mortise set PATH, or mortise policy edit",
			"a unit that loads it does not start: the secret of a [credential] is not "
			"there, or empty: %s",
			missing);
	else if (credentials > 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "each [credential] has its secret");
}
