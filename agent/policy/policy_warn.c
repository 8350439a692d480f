/* SPDX-License-Identifier: ISC */
/* What is odd about a policy, though it can be applied. */
#include "policy_answers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_clock.h"
#include "policy_cover.h"
#include "policy_index.h"

#define COMPARISONS_MAX 2000000 /* half a second or so */

/* They run whatever they are told, so that to allow one is to allow anything. */
static const char *const interpreters[] = {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "csh",
	"tcsh", "fish", "python", "pypy", "perl", "ruby", "node", "nodejs", "php", "lua", "luajit",
	"tclsh", "wish", "expect", "env", "busybox", "toybox", "awk", "gawk", "mawk", "java",
	"mono", "dotnet", "Rscript", "guile", "gdb", "strace", "find", "xargs", "make", "sudo",
	"su", "ssh-agent", "screen", "tmux", "vi", "vim", "emacs", "ld.so"};

struct warning {
	const struct policy *policy;
	const struct policy_warning_options *options;
	policy_warning_visit *visit;
	void *context;
	struct clock_change changes[CLOCK_CHANGES_MAX];
	size_t change_count;
	unsigned long comparisons;
	const struct rule *rule; /* being looked at */
	uint32_t number, covered_by;
};

static void warn_at(const struct warning *warning, unsigned line, unsigned column,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

static void warn_at(
	const struct warning *warning, unsigned line, unsigned column, const char *format, ...)
{
	char text[512];
	va_list arguments;
	int used = snprintf(text, sizeof text, "rule '%s' ", warning->rule->origin->title);

	va_start(arguments, format);
	(void)vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
	va_end(arguments);
	warning->visit(warning->context,
		&(struct policy_warning){warning->rule->origin->file, line, column, text});
}

static void check_expiry(const struct warning *warning)
{
	const struct condition *expires = rule_condition(warning->rule, ATTRIBUTE_EXPIRES);

	if (expires != NULL && expires->expires <= warning->options->now)
		warn_at(warning, expires->line, expires->column, "can never match: it has expired");
}

/* audit and admin concern no secret, and only ** matches that. */
static void check_patterns(const struct warning *warning)
{
	const struct rule *rule = warning->rule;
	const struct condition *secret = rule_condition(rule, ATTRIBUTE_SECRET);
	const char *text = NULL;

	if (rule->is_deny || secret == NULL || !(rule->verbs & (VERB_AUDIT | VERB_ADMIN)))
		return;
	for (uint32_t i = 0; i < secret->value_count; i++) {
		text = condition_text(secret, text);
		if (strcmp(text, "**") == 0)
			return;
	}
	if (rule->verbs & VERBS_OF_SECRETS)
		warn_at(warning, secret->line, secret->column,
			"allows audit or admin to no effect: they need the pattern **");
	else
		warn_at(warning, secret->line, secret->column,
			"can never match: audit and admin need the pattern **, or no 'secret ='");
}

static bool is_version(const char *text)
{
	return text[strspn(text, "0123456789.-")] == '\0';
}

/* python, python3, python3.11; ld-linux-x86-64.so.2 */
static bool is_interpreter(const char *name)
{
	for (size_t i = 0; i < sizeof interpreters / sizeof interpreters[0]; i++) {
		size_t size = strlen(interpreters[i]);

		if (strncmp(name, interpreters[i], size) == 0 && is_version(name + size))
			return true;
	}
	return strncmp(name, "ld-", 3) == 0 && strstr(name, ".so") != NULL;
}

static void check_exe(
	const struct warning *warning, const struct condition *condition, const char *exe)
{
	const struct policy_warning_options *options = warning->options;
	const char *name = strrchr(exe, '/') + 1;

	if (strcmp(name, "mortise") == 0)
		warn_at(warning, condition->line, condition->column,
			"names %.200s, which anybody can run: it tells nobody apart", exe);
	else if (is_interpreter(name))
		warn_at(warning, condition->line, condition->column,
			"names %.200s, which runs whatever it is told", exe);
	else if (options->is_script != NULL && options->is_script(options->context, exe))
		warn_at(warning, condition->line, condition->column,
			"names %.200s, a script: the caller is its interpreter", exe);
}

static void check_exes(const struct warning *warning)
{
	const struct condition *condition = rule_condition(warning->rule, ATTRIBUTE_EXE);
	const char *exe = NULL;

	for (uint32_t i = 0; !warning->rule->is_deny && condition && i < condition->value_count;
		i++) {
		exe = condition_text(condition, exe);
		check_exe(warning, condition, exe);
	}
}

static void check_clock(const struct warning *warning, const struct condition *condition,
	const struct hours *hours, const struct clock_change *change)
{
	const struct condition *days = rule_condition(warning->rule, ATTRIBUTE_DAYS);

	if (!clock_change_meets(change, hours, days != NULL ? days->days : 0))
		return;
	warn_at(warning, condition->line, condition->column,
		"has hours %02u:%02u-%02u:%02u, but on %d-%02d-%02d the time from %02u:%02u to "
		"%02u:%02u %s; Z would make them UTC",
		hours->from / 60, hours->from % 60, hours->to / 60, hours->to % 60, change->year,
		change->month, change->day, change->from / 60, change->from % 60,
		change->to / 60 % 24, change->to % 60,
		change->is_skipped ? "is skipped" : "comes twice");
}

static void check_hours(const struct warning *warning)
{
	const struct condition *condition = rule_condition(warning->rule, ATTRIBUTE_HOURS);

	for (uint32_t i = 0; condition != NULL && i < condition->value_count; i++)
		for (size_t j = 0; j < warning->change_count; j++)
			check_clock(warning, condition, &condition->hours[i], &warning->changes[j]);
}

static bool shadows(const struct rule *wide, const struct rule *narrow)
{
	return rule_covers(wide, narrow) && (wide->is_deny || !narrow->is_deny) &&
	       rate_covers(wide, narrow);
}

/* Of two that say the same the later one is shadowed. */
static void compare(void *context, uint32_t number)
{
	struct warning *warning = context;
	const struct rule *other = &warning->policy->rules[number];
	bool is_later = number > warning->number;

	if (number == warning->number || warning->covered_by != NO_RULE ||
		warning->comparisons++ > COMPARISONS_MAX || !shadows(other, warning->rule))
		return;
	if (other->is_deny == warning->rule->is_deny && is_later && shadows(warning->rule, other))
		return;
	warning->covered_by = number;
}

static void check_cover(struct warning *warning)
{
	const struct origin *origin = warning->rule->origin, *other;

	warning->covered_by = NO_RULE;
	policy_index_find_covering(warning->policy, warning->rule, compare, warning);
	if (warning->covered_by == NO_RULE)
		return;
	other = warning->policy->rules[warning->covered_by].origin;
	warn_at(warning, origin->line, origin->column, "does nothing: rule '%s' (%.100s:%u) %s",
		other->title, other->file, other->line,
		warning->policy->rules[warning->covered_by].is_deny && !warning->rule->is_deny
			? "denies all of it"
			: "says as much");
}

enum mortise_status policy_warnings(const struct policy *policy,
	const struct policy_warning_options *options, policy_warning_visit *visit, void *context)
{
	struct warning warning = {
		.policy = policy, .options = options, .visit = visit, .context = context};

	warning.change_count = clock_changes(options->now, warning.changes);
	for (size_t i = 0; i < policy->rule_count; i++) {
		warning.rule = &policy->rules[i];
		warning.number = (uint32_t)i;
		check_expiry(&warning);
		check_patterns(&warning);
		check_exes(&warning);
		check_hours(&warning);
		if (warning.comparisons <= COMPARISONS_MAX)
			check_cover(&warning);
	}
	if (warning.comparisons > COMPARISONS_MAX)
		visit(context,
			&(struct policy_warning){"", 0, 0,
				"there are too many rules to look which of them others cover"});
	return MORTISE_OK;
}
