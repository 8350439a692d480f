/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "policy_grants.h"

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

void doctor_policy(struct doctor *doctor)
{
	const char *changed = doctor_text(doctor->facts, "policy_names_changed");
	uint64_t disabled = 0, rules = 0;

	if (doctor_number(doctor->facts, "policy_rules_disabled", &disabled) && disabled > 0)
		doctor_say(doctor, DOCTOR_WARNING, "mend the names, then mortise policy apply",
			"%llu rule%s of the policy %s disabled, since names changed: %s",
			(unsigned long long)disabled, disabled == 1 ? "" : "s",
			disabled == 1 ? "is" : "are", changed != NULL ? changed : "");
	else if (doctor_number(doctor->facts, "policy_rules", &rules))
		doctor_say(doctor, DOCTOR_OK, NULL, "%llu rules, and all in force",
			(unsigned long long)rules);
	if (doctor->is_admin && doctor->is_unsealed)
		check_admins(doctor);
}
