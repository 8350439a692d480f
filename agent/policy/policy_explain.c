/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_answers.h"
#include "policy_cover.h"
#include "policy_index.h"
#include "policy_rules.h"
#include "policy_text.h"
#include "policy_when.h"

#define IDENTITY                                                                                   \
	(1u << ATTRIBUTE_VERB | 1u << ATTRIBUTE_SECRET | 1u << ATTRIBUTE_USER |                    \
		1u << ATTRIBUTE_GROUP | 1u << ATTRIBUTE_NAME)

#define TIMES (1u << ATTRIBUTE_HOURS | 1u << ATTRIBUTE_DAYS | 1u << ATTRIBUTE_EXPIRES)

static bool is_bit_single(unsigned bits)
{
	return (bits & (bits - 1)) == 0;
}

/* Which attributes keep the rule from matching. */
static struct policy_near judge(
	const struct policy *policy, const struct rule *rule, struct question *question)
{
	struct policy_near near = {.rule = rule->origin->title,
		.file = rule->origin->file,
		.line = rule->origin->line};

	if ((rule->verbs & (unsigned)question->verb) == 0)
		near.failed |= 1u << ATTRIBUTE_VERB;
	if (rule_is_disabled(policy, rule, NULL))
		near.failed |= 1u << ATTRIBUTE_NAME;
	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];
		enum holding holding = condition_holds(rule, condition, question);

		if (holding != HOLDS)
			near.failed |= 1u << condition->attribute;
		if (holding == UNKNOWN)
			near.unknown |= 1u << condition->attribute;
	}
	return near;
}

static bool is_near(unsigned failed)
{
	return is_bit_single(failed) || (failed & IDENTITY) == 0 ||
	       (failed & ~(1u << ATTRIBUTE_VERB | 1u << ATTRIBUTE_SECRET)) == 0;
}

/* A rule about other users, or other secrets, is rarely the one that was meant. */
static unsigned distance(const struct policy_near *near)
{
	return (unsigned)__builtin_popcount(near->failed) + (near->failed >> ATTRIBUTE_USER & 1) +
	       (near->failed >> ATTRIBUTE_SECRET & 1);
}

static bool is_nearer(const struct policy_near *a, const struct policy_near *b)
{
	return distance(a) < distance(b);
}

static void add_near(struct policy_explanation *explanation, const struct policy_near *near)
{
	size_t at = explanation->near_count;

	while (at > 0 && is_nearer(near, &explanation->near[at - 1]))
		at--;
	if (at == POLICY_NEAR_MAX)
		return;
	if (explanation->near_count < POLICY_NEAR_MAX)
		explanation->near_count++;
	memmove(&explanation->near[at + 1], &explanation->near[at],
		(explanation->near_count - 1 - at) * sizeof *near);
	explanation->near[at] = *near;
}

/* The instant as the rule's clock shows it: "mon 12:00". */
static void put_clock(FILE *file, time_t now, bool is_utc)
{
	struct tm split;
	char text[32] = "?";

	if ((is_utc ? gmtime_r(&now, &split) : localtime_r(&now, &split)))
		(void)strftime(text, sizeof text, "%a %H:%M", &split);
	(void)fprintf(file, "it is %s%s", text, is_utc ? "Z" : "");
}

/* What there is, where the rule wants something else. */
static void put_found(FILE *file, const struct condition *condition, bool is_unknown,
	const struct question *question)
{
	const struct fact *fact = subject_fact(question->subject, condition->attribute);
	const char *name = attribute_name(condition->attribute);

	if (is_unknown && (TIMES >> condition->attribute & 1))
		(void)fputs("the clock is not believed", file);
	else if (is_unknown)
		(void)fprintf(file, "%s cannot be had", name);
	else if (fact && strcmp(fact->text, SUBJECT_UNSAID) == 0)
		(void)fprintf(file, "%s is not given", name);
	else if (fact)
		(void)fprintf(file, "%s is %.*s", name, (int)strcspn(fact->text, " "), fact->text);
	else if (condition->attribute == ATTRIBUTE_SECRET)
		(void)fprintf(file, "secret is %s", question->path ? question->path : "none");
	else if (condition->attribute == ATTRIBUTE_USER &&
		 question->subject->uid == SUBJECT_STRANGER)
		(void)fputs("user is not given", file);
	else if (condition->attribute == ATTRIBUTE_USER)
		(void)fprintf(file, "user is %u", question->subject->uid);
	else if (condition->attribute == ATTRIBUTE_GROUP)
		(void)fputs("group is another", file);
	else
		put_clock(file, question->clock.now,
			condition->attribute == ATTRIBUTE_HOURS && condition->hours[0].is_utc);
}

static void put_failed(FILE *file, const struct policy *policy, const struct rule *rule,
	const struct policy_near *near, const struct question *question)
{
	const char *gap = "";
	const struct name *name = NULL;

	for (uint8_t i = 0; i < rule->condition_count; i++) {
		const struct condition *condition = &rule->conditions[i];
		unsigned bit = 1u << condition->attribute;

		if ((near->failed & bit) == 0)
			continue;
		(void)fputs(gap, file);
		gap = "; ";
		if (condition->attribute == ATTRIBUTE_EXPIRES && !(near->unknown & bit)) {
			(void)fputs("it expired ", file);
		} else {
			put_found(file, condition, (near->unknown & bit) != 0, question);
			(void)fprintf(file, near->unknown & TIMES & bit ? ", for %s " : ", not ",
				attribute_name(condition->attribute));
		}
		text_values(file, policy, condition);
	}
	if (near->failed & 1u << ATTRIBUTE_VERB) {
		(void)fprintf(file, "%sverb is %s, not ", gap, verb_name(question->verb));
		text_verbs(file, rule->verbs);
		gap = "; ";
	}
	if (rule_is_disabled(policy, rule, &name))
		(void)fprintf(file, "%sthe name %s %s", gap, name->seen.name,
			name->state == POLICY_NAME_GONE ? "is gone" : "means another id now");
}

static void say_why(const struct policy *policy, const struct rule *rule,
	const struct question *question, struct policy_near *near)
{
	FILE *file = fmemopen(near->why, sizeof near->why, "w");

	if (!file)
		return;
	(void)setvbuf(file, NULL, _IONBF, 0);
	put_failed(file, policy, rule, near, question);
	(void)fclose(file);
	near->why[sizeof near->why - 1] = '\0';
}

const char policy_nobody[] = "uid 65534 (nobody) is never served, whatever the rules say; give the "
			     "job a user of its own (User= of its unit)";

void policy_explain(const struct policy *policy, const struct subject *subject, enum verb verb,
	const char *path, time_t now, struct policy_explanation *out_explanation)
{
	struct question question = {subject, verb, path, {.now = now}};
	struct policy_explanation explanation = {
		.decision = policy_decide(policy, subject, verb, path, now)};

	if (explanation.decision.rule) {
		const struct rule *rule = &policy->rules[explanation.decision.rule_number];

		explanation.file = rule->origin->file;
		explanation.line = rule->origin->line;
		explanation.unknown = judge(policy, rule, &question).unknown;
	}
	explanation.is_nobody = !explanation.decision.rule && id_is_nobody(subject->uid);
	for (uint32_t i = 0;
		!explanation.decision.rule && !explanation.is_nobody && i < policy->rule_count;
		i++) {
		struct policy_near near;

		if (policy->rules[i].is_deny)
			continue;
		near = judge(policy, &policy->rules[i], &question);
		near.number = i;
		if (is_near(near.failed))
			add_near(&explanation, &near);
	}
	for (size_t i = 0; i < explanation.near_count; i++)
		say_why(policy, &policy->rules[explanation.near[i].number], &question,
			&explanation.near[i]);
	*out_explanation = explanation;
}

void policy_explain_unknown(
	const struct policy_explanation *explanation, char *out_text, size_t size)
{
	unsigned facts = explanation->unknown & ~TIMES;
	const char *gap = ", for ";
	size_t used = 0;

	out_text[0] = '\0';
	if (explanation->unknown & TIMES)
		used = (size_t)snprintf(
			out_text, size, ", for the clock is not believed%s", facts ? "; and " : "");
	if (explanation->unknown & TIMES)
		gap = "";
	for (unsigned i = 0; i < ATTRIBUTE_COUNT && used < size; i++)
		if (facts >> i & 1) {
			used += (size_t)snprintf(out_text + used, size - used, "%s%s", gap,
				attribute_name((enum attribute)i));
			gap = " and ";
		}
	if (facts && used < size)
		(void)snprintf(out_text + used, size - used, " cannot be had");
}

void policy_explain_text(const struct policy_explanation *explanation, char *out_text, size_t size)
{
	size_t used;

	if (explanation->decision.rule) {
		used = (size_t)snprintf(out_text, size, "rule '%s' (%s:%u) %s it",
			explanation->decision.rule, explanation->file, explanation->line,
			explanation->decision.allowed ? "allows" : "denies");
		if (used < size)
			policy_explain_unknown(explanation, out_text + used, size - used);
		return;
	}
	used = (size_t)snprintf(
		out_text, size, "%s", explanation->is_nobody ? policy_nobody : "no rule allows it");
	for (size_t i = 0; i < explanation->near_count && used < size; i++) {
		const struct policy_near *near = &explanation->near[i];

		used += (size_t)snprintf(out_text + used, size - used, "%s rule '%s' (%s:%u): %s",
			i == 0 ? "; nearest is" : "; then", near->rule, near->file, near->line,
			near->why);
	}
}

/* What is odd about a policy, though it can be applied. */

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

	if (expires && expires->expires <= warning->options->now)
		warn_at(warning, expires->line, expires->column, "can never match: it has expired");
}

/* audit and admin concern no secret, and only ** matches that. */
static void check_patterns(const struct warning *warning)
{
	const struct rule *rule = warning->rule;
	const struct condition *secret = rule_condition(rule, ATTRIBUTE_SECRET);
	const char *text = NULL;

	if (rule->is_deny || !secret || !(rule->verbs & (VERB_AUDIT | VERB_ADMIN)))
		return;
	for (uint32_t i = 0; i < secret->value_count; i++) {
		text = condition_text(secret, text);
		if (strcmp(text, "**") == 0)
			return;
	}
	if (rule->verbs & verbs_of_secrets())
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
	return strncmp(name, "ld-", 3) == 0 && strstr(name, ".so");
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
	else if (options->is_script && options->is_script(options->context, exe))
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

	if (!clock_change_meets(change, hours, days ? days->days : 0))
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

	for (uint32_t i = 0; condition && i < condition->value_count; i++)
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
