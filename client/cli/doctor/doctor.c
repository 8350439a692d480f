/* SPDX-License-Identifier: ISC */
/* doctor: what will fail at the next boot. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "doctor_agent.h"
#include "doctor_host.h"
#include "doctor_slots.h"
#include "hygiene.h"
#include "output.h"

/* What a check needs to know; without it, it is left out. */
enum need {
	NEEDS_NOTHING,
	NEEDS_STATUS,
	NEEDS_ADMIN,
	NEEDS_UNSEALED, /* and admin */
};

/* A check that is new stands here. */
static const struct {
	const char *name;
	enum need need;
	doctor_check *look;
} checks[] = {
	{"agent", NEEDS_NOTHING, doctor_state},
	{"config", NEEDS_NOTHING, doctor_config},
	{"slots", NEEDS_UNSEALED, doctor_slots},
	{"anchor", NEEDS_STATUS, doctor_anchor},
	{"rekey", NEEDS_STATUS, doctor_rekey},
	{"policy", NEEDS_STATUS, doctor_policy},
	{"units", NEEDS_STATUS, doctor_units},
	{"audit", NEEDS_STATUS, doctor_audit},
	{"files", NEEDS_ADMIN, doctor_files},
	{"disks", NEEDS_ADMIN, doctor_disks},
	{"memory", NEEDS_STATUS, doctor_memory},
	{"kernel", NEEDS_STATUS, doctor_kernel},
	{"clock", NEEDS_NOTHING, doctor_clock},
	{"hygiene", NEEDS_UNSEALED, doctor_hygiene},
};

#define CHECKS (sizeof checks / sizeof checks[0])

/* ---- asking ---- */

static enum mortise_status add_facts(struct doctor *doctor, enum wire_opcode opcode)
{
	struct mortise *agent = doctor->cli->agent;
	struct wire_message reply;

	(void)client_begin(agent, opcode);
	TRY(client_call(agent, &reply));
	if (!ask_put_facts(wire_list_of(&reply, WIRE_TAG_ITEMS), doctor->facts))
		return client_fail(agent, MORTISE_IO, "%s", ask_malformed);
	return MORTISE_OK;
}

/* An agent that is not there is a finding, as is to be nobody who may know more of it. */
static int gather(struct doctor *doctor)
{
	enum mortise_status status = add_facts(doctor, WIRE_STATUS);
	const char *state = doctor_text(doctor->facts, "state");

	doctor->is_there = status == MORTISE_OK;
	doctor->is_unsealed = state && strcmp(state, "unsealed") == 0;
	if (status != MORTISE_OK) {
		(void)snprintf(doctor->absence, sizeof doctor->absence, "%s",
			mortise_message(doctor->cli->agent));
		return CLI_DONE;
	}
	doctor->is_stranger = !doctor_text(doctor->facts, "audit");
	if (doctor->is_stranger)
		return CLI_DONE;
	status = add_facts(doctor, WIRE_DOCTOR);
	doctor->is_admin = status == MORTISE_OK;
	if (status == MORTISE_OK || status == MORTISE_DENIED)
		return CLI_DONE;
	return ask_fail(doctor->cli, status, NULL);
}

static bool has(const struct doctor *doctor, enum need need)
{
	return need == NEEDS_NOTHING ||
	       (doctor->is_there && !doctor->is_stranger &&
		       (need == NEEDS_STATUS ||
			       (doctor->is_admin && (need == NEEDS_ADMIN || doctor->is_unsealed))));
}

static void look(struct doctor *doctor)
{
	for (size_t i = 0; i < CHECKS; i++) {
		doctor->check = checks[i].name;
		if (has(doctor, checks[i].need))
			checks[i].look(doctor);
	}
	doctor->check = checks[0].name;
	if (doctor->is_stranger)
		doctor_say(doctor, DOCTOR_NOTE, "run it as root",
			"of the agent nothing but its state was looked at: that takes the verb "
			"admin, or to be an operator");
	else if (doctor->is_there && !doctor->is_admin)
		doctor_say(doctor, DOCTOR_NOTE, "run it as root",
			"slots, files, disks and hygiene were not looked at: that takes the verb "
			"admin");
	if (doctor->is_admin && !doctor->is_unsealed)
		doctor_say(doctor, DOCTOR_NOTE, "once it is unsealed: mortise doctor",
			"slots, policy and hygiene were not looked at: the agent is not unsealed");
}

/* ---- telling ---- */

static const char *member(const json_t *finding, const char *name)
{
	const char *text = json_string_value(json_object_get(finding, name));

	return text ? text : "";
}

static bool has_severity(const json_t *finding, enum severity severity)
{
	return strcmp(member(finding, "severity"), doctor_severity(severity)) == 0;
}

static size_t count(const struct doctor *doctor, enum severity severity)
{
	const json_t *finding;
	size_t i, found = 0;

	json_array_foreach(doctor->findings, i, finding) found += has_severity(finding, severity);
	return found;
}

static void print(const struct doctor *doctor, enum severity severity)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(doctor->findings, i, finding)
	{
		const char *remedy = member(finding, "remedy");

		if (!has_severity(finding, severity))
			continue;
		printf("%-8s %-7s ", doctor_severity(severity), member(finding, "check"));
		output_text(member(finding, "text"));
		if (remedy[0] != '\0')
			(void)fputs("; next: ", stdout);
		output_text(remedy);
		(void)putchar('\n');
	}
}

static void print_all(const struct doctor *doctor)
{
	size_t wrong = count(doctor, DOCTOR_WRONG), warnings = count(doctor, DOCTOR_WARNING);

	print(doctor, DOCTOR_WRONG);
	print(doctor, DOCTOR_WARNING);
	print(doctor, DOCTOR_NOTE);
	if (args_has(doctor->cli, "all"))
		print(doctor, DOCTOR_OK);
	if (wrong == 0)
		printf("nothing is wrong%s", doctor->is_stranger ? " in what was looked at" : "");
	else
		printf("%zu wrong", wrong);
	printf(", %zu warning%s, %zu ok\n", warnings, warnings == 1 ? "" : "s",
		count(doctor, DOCTOR_OK));
}

static int report(struct doctor *doctor)
{
	int ending = CLI_DONE;

	if (doctor->is_incomplete)
		return output_fail(doctor->cli, MORTISE_IO, "out of memory");
	if (doctor->cli->is_json)
		ending = output_json(json_pack("{s:b, s:O}", "wrong",
			count(doctor, DOCTOR_WRONG) > 0, "findings", doctor->findings));
	else
		print_all(doctor);
	if (ending != CLI_DONE)
		return ending;
	return count(doctor, DOCTOR_WRONG) > 0 ? CLI_FOUND : CLI_DONE;
}

static int run(struct cli *cli)
{
	struct doctor doctor = {.cli = cli, .facts = json_object(), .findings = json_array()};
	int ending;

	if (!doctor.facts || !doctor.findings)
		ending = output_fail(cli, MORTISE_IO, "out of memory");
	else
		ending = hygiene_read_age(cli, &doctor.older_than_us);
	if (ending == CLI_DONE)
		ending = gather(&doctor);
	if (ending == CLI_DONE) {
		look(&doctor);
		ending = report(&doctor);
	}
	json_decref(doctor.facts);
	json_decref(doctor.findings);
	return ending;
}

static const struct option options[] = {
	{"all", 0, NULL, "print what is right, too"},
	{"quick", 0, NULL, "ask no hardware, and do not look through the audit log"},
	{"older-than", 0, "TIME", "also note values older than that, like 365d"},
	{"pins", 0, NULL, "try slots that have a PIN, each with one right or wrong try"},
	{"config", 0, "F", "the agent's configuration, if it is not /etc/mortise/mortised.conf"},
	{0},
};

const struct command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "say what will fail at the next boot, and what to do",
	.options = options,
	.verb = "admin",
	.exits = {CLI_FOUND},
	.notes = "Opens each hardware slot as a boot would, and reads the TPM's lockout counter. "
		 "What is\n"
		 "wrong makes exit status 1; a warning or a note does not. A PIN is tried only "
		 "with --pins,\n"
		 "and never if it could be the last try. With --json it is an object with "
		 "findings, each\n"
		 "with check, severity (ok, note, warning, wrong), text and remedy.",
	.examples = "  mortise doctor\n"
		    "  mortise doctor --json | jq '.findings[] | select(.severity == \"wrong\")'",
	.run = run,
};
