/* SPDX-License-Identifier: ISC */
#include "audit_filter.h"

#include <stdio.h>
#include <string.h>

#include "accounts.h"
#include "args.h"
#include "output.h"
#include "path.h"
#include "suggest.h"
#include "when.h"

/* Every `op` that the agent writes: docs/audit.md says what each is. */
static const char *const operations[] = {"audit-acknowledge", "audit-key", "audit-show",
	"audit-verify", "backup", "backup-stage", "backup-verify", "checkpoint", "clock-accept",
	"connect", "credential", "delete", "denials", "destroy", "doctor", "genesis", "get",
	"hello", "hygiene", "init", "joint", "list", "meta", "move", "policy-apply",
	"policy-change", "policy-check", "policy-may", "policy-reset", "policy-rollback",
	"policy-show", "policy-stage", "policy-who", "purged", "recover", "recovered", "rekey",
	"rekeyed", "reloaded", "rollback", "rotate", "seal", "set", "set-batch", "show", "slot-add",
	"slot-change-pin", "slot-list", "slot-remove", "slot-reseal", "slot-suspend", "slot-test",
	"start", "status", "stop", "undelete", "unseal", "unsealed", "verify", "watch", "whoami",
	NULL};

static bool is_one_of(const char *const *words, const char *word)
{
	for (size_t i = 0; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* The commands have blanks where the log has dashes. */
static int refuse_word(const struct cli *cli, const char *option, const char *what,
	const char *const *words, const char *word)
{
	struct suggest nearest = {.word = word};

	for (size_t i = 0; words[i]; i++)
		suggest_consider(&nearest, words[i]);
	if (nearest.found)
		return output_fail(cli, MORTISE_INVALID,
			"--%s=%s: no %s has that name; did you mean %s", option, word, what,
			nearest.found);
	return output_fail(cli, MORTISE_INVALID,
		"--%s=%s: no %s has that name; see: man mortise-audit", option, word, what);
}

/* What a request can come to, as the log has it: docs/audit.md. */
static const char *const results[] = {"ok", "invalid", "denied", "not-found", "conflict", "sealed",
	"busy", "integrity", "io", "hardware", "rejected", NULL};

/* What a policy calls a rule, or a credential: docs/policy.md. */
static bool is_title(const char *text)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t size = strspn(text, letters);

	return size > 0 && size <= 64 && text[size] == '\0' && !strchr("._-", text[0]);
}

static int read_words(struct cli *cli, struct audit_filter *filter)
{
	filter->operation = args_value(cli, "op");
	filter->result = args_value(cli, "result");
	filter->rule = args_value(cli, "rule");
	filter->unit = args_value(cli, "unit");
	if (filter->operation && !is_one_of(operations, filter->operation))
		return refuse_word(cli, "op", "operation", operations, filter->operation);
	if (filter->result && !is_one_of(results, filter->result))
		return refuse_word(cli, "result", "result", results, filter->result);
	if (filter->rule && !is_title(filter->rule))
		return output_fail(cli, MORTISE_INVALID,
			"--rule=%s: no rule can have that name; see: mortise policy show",
			filter->rule);
	if (filter->unit && !args_is_unit(filter->unit, strlen(filter->unit)))
		return output_fail(cli, MORTISE_INVALID,
			"--unit=%s: a unit's whole name is wanted, such as backup.service",
			filter->unit);
	return CLI_DONE;
}

static int read_user(struct cli *cli, struct audit_filter *filter)
{
	const char *user = args_value(cli, "user");
	const struct passwd *entry = user ? accounts_user(user) : NULL;
	uint64_t uid = 0;

	if (user && !entry && (!args_number(user, &uid) || uid > UINT32_MAX))
		return output_fail(cli, MORTISE_INVALID, "no user '%s' on this host", user);
	filter->has_user = user != NULL;
	filter->uid = entry ? (json_int_t)entry->pw_uid : (json_int_t)uid;
	return CLI_DONE;
}

static int read_path(struct cli *cli, struct audit_filter *filter)
{
	const char *path = args_value(cli, "path");
	int ending = path ? ask_expand(cli, path, &filter->path) : CLI_DONE;

	if (ending == CLI_DONE && path &&
		!pattern_is_valid(filter->path.text, strlen(filter->path.text)))
		ending = output_fail(cli, MORTISE_INVALID,
			"--path=%s: neither a path nor a pattern, like 'prod/db/*' or "
			"'prod/**'; see: mortise list -r",
			filter->path.text);
	return ending;
}

static int read_times(struct cli *cli, struct audit_filter *filter)
{
	static const char *const names[] = {"since", "until"};
	uint64_t *times[] = {&filter->since_us, &filter->until_us};

	for (size_t i = 0; i < 2; i++) {
		const char *text = args_value(cli, names[i]);
		if (text && !when_parse_past(text, times[i]))
			return output_fail(cli, MORTISE_INVALID,
				"--%s wants a time that was, like '2026-11-23 14:03' or "
				"2026-11-23T13:03:00Z, or how long ago, like 90m, 2h or 1d",
				names[i]);
	}
	if (filter->until_us && filter->since_us > filter->until_us)
		return output_fail(cli, MORTISE_INVALID, "--since is later than --until");
	return CLI_DONE;
}

int audit_filter_read(struct cli *cli, struct audit_filter *out_filter)
{
	static int (*const steps[])(struct cli *, struct audit_filter *) = {
		read_words, read_user, read_times, read_path};
	struct audit_filter filter = {.has_user = false};
	int ending = args_number_of(cli, "last", 1, 0, &filter.last);

	for (size_t i = 0; i < sizeof steps / sizeof steps[0] && ending == CLI_DONE; i++)
		ending = steps[i](cli, &filter);
	*out_filter = filter;
	return ending;
}

const char *audit_text_of(const json_t *record, const char *name)
{
	const char *text = json_string_value(json_object_get(record, name));

	return text ? text : "";
}

uint64_t audit_time_of(const json_t *record)
{
	char text[WHEN_TEXT_SIZE] = "";
	uint64_t time_us = 0;

	/* Down to the second: "2026-11-23T14:03:11.123456Z" */
	(void)snprintf(text, sizeof text, "%.19sZ", audit_text_of(record, "time"));
	return when_parse_time(text, 0, &time_us) ? time_us : 0;
}

bool audit_is_doubtful(const json_t *record)
{
	return audit_text_of(record, "clock")[0] != '\0';
}

/* Of the names that a unit has, one: a slice is one, too. */
static bool is_in_unit(const json_t *record, const char *unit)
{
	const char *at = audit_text_of(record, "unit");
	size_t size = unit ? strlen(unit) : 0;

	for (; unit && *at != '\0'; at += strspn(at, " ")) {
		size_t next = strcspn(at, " ");
		if (next == size && strncmp(at, unit, size) == 0)
			return true;
		at += next;
	}
	return !unit;
}

static bool has(const json_t *record, const char *name, const char *wanted)
{
	return !wanted || strcmp(audit_text_of(record, name), wanted) == 0;
}

bool audit_is_reading(const json_t *record)
{
	return (has(record, "op", "get") || has(record, "op", "credential")) &&
	       has(record, "result", "ok");
}

/* When it really was is not known where the clock was not believed: better one line too many. */
static bool is_of_that_time(const struct audit_filter *filter, const json_t *record)
{
	if ((!filter->since_us && !filter->until_us) || audit_is_doubtful(record))
		return true;
	uint64_t time_us = audit_time_of(record);
	return time_us >= filter->since_us && (!filter->until_us || time_us <= filter->until_us);
}

/* '**' is every path, and what has none is no request for a secret. */
static bool is_of_that_path(const struct audit_filter *filter, const char *path)
{
	return !filter->path.text[0] || (path[0] && pattern_matches(filter->path.text, path));
}

bool audit_filter_takes(const struct audit_filter *filter, const json_t *record)
{
	const json_t *uid = json_object_get(record, "uid");

	if (filter->has_user && (!json_is_integer(uid) || json_integer_value(uid) != filter->uid))
		return false;
	return is_of_that_path(filter, audit_text_of(record, "path")) &&
	       has(record, "op", filter->operation) && has(record, "result", filter->result) &&
	       has(record, "rule", filter->rule) && is_in_unit(record, filter->unit) &&
	       is_of_that_time(filter, record);
}
