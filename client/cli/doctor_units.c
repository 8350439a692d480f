/* SPDX-License-Identifier: ISC */
/* Can callers be told apart, and can what the policy says of units come true? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "policy_units.h"
#include "program.h"

#define AGENT_UNIT "mortised.service"

/* What hides /proc from the agent: the host's own mount of it, or a setting of the agent's unit. */
static void find_remedy(char *remedy, size_t size)
{
	static const char *const settings[] = {"systemctl", "show", "--property=ProtectProc",
		"--property=ProcSubset", AGENT_UNIT, NULL};
	static const char *const mounts[] = {
		"findmnt", "--noheadings", "--output=OPTIONS", "/proc", NULL};
	struct program_said said;

	if (program_run(mounts, PROGRAM_OUTPUT, &said) == 0 &&
		strstr(said.text, "hidepid=") != NULL)
		(void)snprintf(remedy, size,
			"mount /proc without hidepid=, or with gid= of a group that the agent's "
			"user "
			"is in, then restart mortised");
	else if (program_run(settings, PROGRAM_OUTPUT, &said) == 0 &&
		 (strstr(said.text, "ProtectProc=invisible") != NULL ||
			 strstr(said.text, "ProtectProc=ptraceable") != NULL ||
			 strstr(said.text, "ProtectProc=noaccess") != NULL))
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

	if (units != NULL && strncmp(units, "none", 4) == 0) {
		find_remedy(remedy, sizeof remedy);
		doctor_say(doctor, names_units ? DOCTOR_WRONG : DOCTOR_WARNING, remedy,
			"units can't be told apart, so no rule and no credential of a unit allows "
			"anything: /proc hides the processes of others from the agent");
	} else if (units != NULL) {
		doctor_say(doctor, DOCTOR_OK, NULL, "units are told apart by %s", units);
	}
	if (users != NULL && strcmp(users, "all") != 0)
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

	char *text = doctor->is_admin && doctor->is_unsealed ? doctor_fetch_policy(doctor) : NULL;

	if (text != NULL)
		(void)policy_files_split(text, &files);
	free(text);
	policy_units_find(&files, "rule", &units);
	(void)doctor_number(doctor->facts, "credentials", &credentials);
	check_evidence(doctor, credentials > 0 || units.count > 0);
	check_units(doctor, &units);
	if (missing != NULL)
		doctor_say(doctor, DOCTOR_WRONG, "mortise set PATH, or mortise policy edit",
			"a unit that loads it does not start: the secret of a [credential] is not "
			"there, or empty: %s",
			missing);
	else if (credentials > 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "each [credential] has its secret");
}
