/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "policy_change.h"
#include "policy_grants.h"

char *doctor_fetch_policy(struct doctor *doctor)
{
	struct cli quiet = *doctor->cli;
	uint64_t version = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	quiet.is_quiet = true;
	bool is_whole = out != NULL && policy_fetch(&quiet, out, &version) == CLI_DONE;
	if (out != NULL)
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

		if (grant->is_deny || (one != NULL && strcmp(one, grant->who) == 0))
			continue;
		if (one != NULL || strncmp(grant->who, "group ", 6) == 0 ||
			strncmp(grant->who, "gid ", 4) == 0)
			return NULL;
		one = grant->who;
	}
	return one != NULL ? one : "nobody";
}

static void check_admins(struct doctor *doctor)
{
	struct policy_grants grants = {0};

	if (policy_grants_who(doctor->cli, NULL, "admin", &grants) != MORTISE_OK) {
		doctor_repeat(doctor, DOCTOR_WARNING, "administrators could not be listed: ",
			mortise_message(doctor->cli->agent));
	} else {
		const char *one = only_one(&grants);

		if (one != NULL)
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

		if (applied == NULL || applied->size != file->size ||
			memcmp(applied->bytes, file->bytes, file->size) != 0)
			doctor_say(doctor, DOCTOR_WARNING, "mortise policy apply",
				applied == NULL ? "%s/%s was not applied"
						: "%s/%s is not what was applied",
				directory, file->name);
	}
	for (int i = 0; i < in_force->count; i++)
		if (find_file(here, in_force->file[i].name) == NULL)
			doctor_say(doctor, DOCTOR_NOTE, "mortise policy show",
				"%s is in force, and not in %s: the next policy apply takes it "
				"away",
				in_force->file[i].name, directory);
}

/* A file may itself be one that was shown: the texts as a whole say whether they are the same. */
static bool is_same(const struct policy_files *here, const char *in_force)
{
	CLEANUP(release) char *text = policy_files_shown(here);

	return text != NULL && strcmp(text, in_force) == 0;
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
	doctor_policy_directory(doctor, directory, sizeof directory);
	if (access(directory, R_OK | X_OK) != 0)
		return;
	text = doctor_fetch_policy(doctor);
	bool is_read = policy_files_read(&quiet, directory, &here) == CLI_DONE;
	if (is_read && text != NULL && is_same(&here, text))
		doctor_say(doctor, DOCTOR_OK, NULL, "what is in %s is in force", directory);
	else if (is_read && text != NULL && policy_files_split(text, &in_force))
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
			disabled == 1 ? "is" : "are", changed != NULL ? changed : "");
	else if (doctor_number(doctor->facts, "policy_rules", &rules))
		doctor_say(doctor, DOCTOR_OK, NULL, "%llu rules, and all in force",
			(unsigned long long)rules);
	if (quotas != NULL)
		doctor_say(doctor, DOCTOR_WARNING,
			"destroy what is not needed, or give it more in the policy",
			"quotas that are nearly used up: %s", quotas);
	if (!doctor->is_admin || !doctor->is_unsealed)
		return;
	check_admins(doctor);
	check_files(doctor);
}
