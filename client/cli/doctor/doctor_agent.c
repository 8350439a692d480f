/* SPDX-License-Identifier: ISC */
#include "doctor_agent.h"

#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "hygiene.h"

#define UNSIGNED_MANY 2000 /* lines of the audit log; a checkpoint comes with each thousand */
#define LAG_LONG_S    600  /* ten windows of the anchor */
#define LOCKED_MEMORY (UINT64_C(4) * 1024 * 1024) /* what the keeper's pool takes */
#define ROOM_LEAST    (UINT64_C(1) * 1024 * 1024)
#define ROOM_SMALL    (UINT64_C(64) * 1024 * 1024)
#define PERCENT_LEAST 1
#define PERCENT_SMALL 5

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "0.1.0"
#endif

void doctor_state(struct doctor *doctor)
{
	const char *state = doctor_text(doctor->facts, "state");
	const char *reason = doctor_text(doctor->facts, "reason");
	const char *version = doctor_text(doctor->facts, "version");

	if (!doctor->is_there) {
		doctor_say(doctor, DOCTOR_WRONG,
			"start mortised; if it does not stay, mortised --check says why", "%s",
			doctor->absence);
		return;
	}
	if (doctor->is_unsealed && reason)
		doctor_repeat(doctor, DOCTOR_WRONG, "it is unsealed, but ", reason);
	else if (doctor->is_unsealed)
		doctor_say(doctor, DOCTOR_OK, NULL, "it is unsealed");
	else if (state && strcmp(state, "uninitialised") == 0)
		doctor_say(doctor, DOCTOR_WRONG, "mortise init", "there is no store yet");
	else if (reason)
		doctor_repeat(doctor, DOCTOR_WRONG, "it is sealed: ", reason);
	else
		doctor_say(doctor, DOCTOR_WRONG, "mortise unseal", "it is %s",
			state ? state : "in no state that is known");
	if (version && strcmp(version, MORTISE_VERSION) != 0)
		doctor_say(doctor, DOCTOR_NOTE, "restart mortised",
			"the agent that runs is mortise %s, this command %s", version,
			MORTISE_VERSION);
}

void doctor_rekey(struct doctor *doctor)
{
	const char *rekey = doctor_text(doctor->facts, "rekey");

	if (rekey)
		doctor_say(
			doctor, DOCTOR_NOTE, "mortise status", "a rekey is under way: %s", rekey);
}

/* Whether there is an anchor is the owner's choice; that it is counted up is not. */
void doctor_anchor(struct doctor *doctor)
{
	const char *anchor = doctor_text(doctor->facts, "anchor");
	uint64_t counter = 0, lag_s = 0, budget = 1;

	if (!anchor)
		return;
	if (strncmp(anchor, "none", 4) == 0) {
		doctor_say(doctor, DOCTOR_NOTE, NULL, "%s", anchor);
		return;
	}
	if (strcmp(anchor, "ok") != 0) {
		doctor_repeat(doctor, DOCTOR_WRONG, "the counter is not counted up: ", anchor);
		return;
	}
	(void)doctor_number(doctor->facts, "anchor_counter", &counter);
	(void)doctor_number(doctor->facts, "anchor_lag_s", &lag_s);
	(void)doctor_number(doctor->facts, "anchor_budget", &budget);
	if (budget == 0)
		doctor_say(doctor, DOCTOR_NOTE, NULL,
			"the day's increments are spent; the next cover more commits each");
	if (lag_s > LAG_LONG_S)
		doctor_say(doctor, DOCTOR_WARNING, "mortise status",
			"the counter is far behind: commits of the last %llu s are not covered, "
			"and an older copy of them would not be noticed",
			(unsigned long long)lag_s);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the counter stands at %llu",
			(unsigned long long)counter);
}

/* How the agent's words for its log begin; the last ones are all others. */
static const struct audit_trouble {
	const char *word;
	enum severity severity;
	const char *advice;
} audit_troubles[] = {
	{"DAMAGED", DOCTOR_WRONG,
		"mortise audit verify; when it is understood: mortise audit acknowledge "
		"--note=WHY"},
	{"MOVED", DOCTOR_WRONG, "put the file back, or: systemctl restart mortise"},
	{"failing", DOCTOR_WRONG, "make room on the audit log's disk"},
	{"not safely", DOCTOR_WARNING, "see what the kernel says of that disk: dmesg"},
	{"", DOCTOR_WARNING, "make room on the audit log's disk"},
};

static void say_trouble(struct doctor *doctor, const char *audit)
{
	const struct audit_trouble *trouble = audit_troubles;

	while (strncmp(audit, trouble->word, strlen(trouble->word)) != 0)
		trouble++;
	doctor_say(doctor, trouble->severity, trouble->advice, "the log: %s", audit);
}

void doctor_audit(struct doctor *doctor)
{
	const char *audit = doctor_text(doctor->facts, "audit");
	uint64_t unsigned_lines = 0;

	(void)doctor_number(doctor->facts, "audit_lines_unsigned", &unsigned_lines);
	if (audit && strcmp(audit, "ok") != 0)
		say_trouble(doctor, audit);
	else if (doctor->is_unsealed && unsigned_lines > UNSIGNED_MANY)
		doctor_say(doctor, DOCTOR_WARNING, "mortise audit verify",
			"%llu lines are behind the last checkpoint: is the store's disk failing?",
			(unsigned long long)unsigned_lines);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the log is written");
}

/* ---- files and disks ---- */

static bool find_number(
	const struct doctor *doctor, const char *place, const char *part, uint64_t *out_number)
{
	char name[64];

	(void)snprintf(name, sizeof name, "%s_%s", place, part);
	return doctor_number(doctor->facts, name, out_number);
}

static void check_mode(
	struct doctor *doctor, const char *place, const char *title, uint64_t most, uint64_t owner)
{
	const char *path = doctor_text(doctor->facts, place);
	uint64_t mode = 0, uid = 0;
	char remedy[WIRE_TEXT_MAX];

	if (!path)
		return;
	if (!find_number(doctor, place, "mode", &mode) ||
		!find_number(doctor, place, "uid", &uid)) {
		doctor_say(doctor, DOCTOR_WRONG, "find out who removed it", "%s %s is gone", title,
			path);
		return;
	}
	(void)snprintf(
		remedy, sizeof remedy, "chmod %04llo %.900s", (unsigned long long)most, path);
	if (mode & ~most & 07777)
		doctor_say(doctor, DOCTOR_WRONG, remedy,
			"%s %s has mode %04llo, and %04llo is the "
			"most",
			title, path, (unsigned long long)mode, (unsigned long long)most);
	(void)snprintf(remedy, sizeof remedy, "chown %llu %.900s", (unsigned long long)owner, path);
	if (uid != owner)
		doctor_say(doctor, DOCTOR_WRONG, remedy,
			"%s %s belongs to uid %llu, not to the "
			"agent",
			title, path, (unsigned long long)uid);
	if (uid == owner && (mode & ~most & 07777) == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "%s %s is the agent's own", title, path);
}

/* Copies of the store open with the keys that it had when they were made. */
static void check_left_behind(struct doctor *doctor)
{
	const char *replaced = doctor_text(doctor->facts, "store_replaced");
	const char *strangers = doctor_text(doctor->facts, "store_strangers");
	char remedy[WIRE_TEXT_MAX];

	if (replaced) {
		(void)snprintf(remedy, sizeof remedy, "shred -u %.900s", replaced);
		doctor_say(doctor, DOCTOR_WARNING, remedy,
			"%s, which a recovery replaced, is still there: it opens with the keys of "
			"then, whatever a rekey has changed since",
			replaced);
	}
	if (strangers)
		doctor_say(doctor, DOCTOR_NOTE, "remove what is a copy of the store",
			"in the store's directory lies what is not the agent's: %s", strangers);
}

void doctor_files(struct doctor *doctor)
{
	uint64_t agent = 0;

	(void)doctor_number(doctor->facts, "agent_uid", &agent);
	check_mode(doctor, "store_directory", "the store", 0700, agent);
	check_mode(doctor, "audit_log", "the audit log", 0640, agent);
	check_left_behind(doctor);
}

static void check_disk(struct doctor *doctor, const char *place, const char *title)
{
	const char *path = doctor_text(doctor->facts, place);
	uint64_t room = 0, size = 0;

	if (!path || !find_number(doctor, place, "free_bytes", &room) ||
		!find_number(doctor, place, "disk_bytes", &size) || size == 0)
		return;
	uint64_t percent = (uint64_t)((double)room * 100 / (double)size);
	enum severity severity = percent < PERCENT_LEAST || room < ROOM_LEAST   ? DOCTOR_WRONG
				 : percent < PERCENT_SMALL && room < ROOM_SMALL ? DOCTOR_WARNING
										: DOCTOR_OK;
	doctor_say(doctor, severity, severity == DOCTOR_OK ? NULL : "make room there",
		"%llu MiB (%llu %%) are free on the disk of %s %s",
		(unsigned long long)(room >> 20), (unsigned long long)percent, title, path);
}

void doctor_disks(struct doctor *doctor)
{
	check_disk(doctor, "store_directory", "the store");
	check_disk(doctor, "audit_log", "the audit log");
}

/* ---- memory and kernel ---- */

void doctor_memory(struct doctor *doctor)
{
	const char *held = doctor_text(doctor->facts, "memory");
	uint64_t limit = 0;

	if (held && strncmp(held, "NOT LOCKED", 10) == 0)
		doctor_say(doctor, DOCTOR_WRONG,
			"raise LimitMEMLOCK (ulimit -l), and take insecure-memory out",
			"keys are in memory that may be swapped out");
	else if (doctor_number(doctor->facts, "memlock_bytes", &limit) && limit < 2 * LOCKED_MEMORY)
		doctor_say(doctor, DOCTOR_WARNING, "raise LimitMEMLOCK (ulimit -l) to 16 MiB",
			"the agent may lock %llu KiB of memory, hardly more than it needs",
			(unsigned long long)(limit >> 10));
	else if (held)
		doctor_say(doctor, DOCTOR_OK, NULL, "keys are held by %s", held);
}

/* Since the agent's keeper started. */
static void check_witness(struct doctor *doctor)
{
	const char *late = doctor_text(doctor->facts, "witness_late");
	uint64_t replaced = 0;

	if (!doctor_number(doctor->facts, "witness_replaced", &replaced))
		return;
	if (late)
		doctor_say(doctor, DOCTOR_WARNING, "see what that user runs",
			"the witness, who looks who callers are, was replaced (%llu); late: %s",
			(unsigned long long)replaced, late);
	else
		doctor_say(doctor, DOCTOR_WARNING, "see the agent's log",
			"the witness, who looks who callers are, ended and was replaced (%llu)",
			(unsigned long long)replaced);
}

void doctor_kernel(struct doctor *doctor)
{
	const char *sandbox = doctor_text(doctor->facts, "sandbox");
	const char *evidence = doctor_text(doctor->facts, "evidence");

	if (sandbox && !strstr(sandbox, "seccomp"))
		doctor_say(doctor, DOCTOR_WARNING, "use a kernel with seccomp",
			"no system call is out of the agent's reach");
	if (sandbox && !strstr(sandbox, "landlock"))
		doctor_say(doctor, DOCTOR_NOTE, "add landlock to the kernel's lsm=",
			"no file is out of the agent's reach: the kernel has no Landlock");
	if (evidence && strcmp(evidence, "pidfd") != 0)
		doctor_say(doctor, DOCTOR_NOTE, NULL,
			"the kernel cannot name who connects (SO_PEERPIDFD, Linux 6.5); callers "
			"take one exchange more");
	check_witness(doctor);
	if (sandbox && evidence)
		doctor_say(doctor, DOCTOR_OK, NULL, "sandbox: %s; callers: %s", sandbox, evidence);
}

#define NAMED_MAX 6 /* secrets in a line; `mortise hygiene` names all */

static const enum severity severities[HYGIENE_KINDS] = {
	[HYGIENE_ENVIRONMENTS] = DOCTOR_WARNING,
	[HYGIENE_REUSED] = DOCTOR_WARNING,
	[HYGIENE_OVERDUE] = DOCTOR_WARNING,
	[HYGIENE_OLD] = DOCTOR_NOTE,
	[HYGIENE_NEVER_READ] = DOCTOR_NOTE,
};

static const char *const remedies[HYGIENE_KINDS] = {
	[HYGIENE_ENVIRONMENTS] = "mortise hygiene names all; give each a value of its own",
	[HYGIENE_REUSED] = "mortise hygiene names all; give each a value of its own",
	[HYGIENE_OVERDUE] = "mortise rotate --due, or mortise set",
	[HYGIENE_OLD] =
		"mortise hygiene --older-than=TIME names all; mortise rotate, or mortise set",
	[HYGIENE_NEVER_READ] = "mortise hygiene names all; mortise delete what nobody needs",
};

/* "prod/a = staging/a, prod/b = staging/b, and 3 more" */
static void name_some(const struct hygiene_finding *findings, size_t count, char *text, size_t size)
{
	size_t named = count < NAMED_MAX ? count : NAMED_MAX, used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < named && used < size; i++) {
		bool is_beside = i > 0 && findings[i].group != 0 &&
				 findings[i].group == findings[i - 1].group;

		used += (size_t)snprintf(text + used, size - used, "%s%s",
			i == 0      ? ""
			: is_beside ? " = "
				    : ", ",
			findings[i].path);
	}
	if (named < count && used < size)
		(void)snprintf(text + used, size - used, ", and %zu more", count - named);
}

/* Those of one kind stand side by side. */
static void tell_kind(struct doctor *doctor, const struct hygiene_finding *findings, size_t count)
{
	enum hygiene_kind kind = findings->kind;
	char names[WIRE_TEXT_MAX];

	name_some(findings, count, names, sizeof names);
	doctor_say(doctor, severities[kind], remedies[kind], "%s: %zu secret%s: %s",
		hygiene_text(kind), count, count == 1 ? "" : "s", names);
}

static void tell(struct doctor *doctor, const struct hygiene *hygiene)
{
	size_t end;

	for (size_t at = 0; at < hygiene->count; at = end) {
		for (end = at + 1; end < hygiene->count &&
				   hygiene->findings[end].kind == hygiene->findings[at].kind;)
			end++;
		tell_kind(doctor, &hygiene->findings[at], end - at);
	}
	if (hygiene->count == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "no value is used twice or overdue%s",
			hygiene->has_log ? ", and each was read" : "");
	if (!hygiene->has_log && !args_has(doctor->cli, "quick"))
		doctor_say(doctor, DOCTOR_NOTE, NULL,
			"what was never read is not known: that takes the verb audit");
}

void doctor_hygiene(struct doctor *doctor)
{
	struct hygiene hygiene = {.leaves_out_log = args_has(doctor->cli, "quick")};
	enum mortise_status status = hygiene_collect(doctor->cli, doctor->older_than_us, &hygiene);

	if (status == MORTISE_OK)
		tell(doctor, &hygiene);
	else
		doctor_repeat(doctor, status == MORTISE_INTEGRITY ? DOCTOR_WRONG : DOCTOR_WARNING,
			"secrets could not be examined: ", mortise_message(doctor->cli->agent));
	hygiene_done(&hygiene);
}
