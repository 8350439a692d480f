/* SPDX-License-Identifier: ISC */
#include "policy_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "path.h"
#include "policy_cases_text.h"
#include "policy_answers.h"
#include "policy_model.h"

#define QUESTIONS 8
#define PATH_SIZE 64

static struct policy *compile(const char *text)
{
	struct policy_file file = {"p", text, strlen(text)};
	struct policy_error error;
	struct policy *policy = NULL;

	if (policy_parse(&file, 1, &policy, &error) != MORTISE_OK)
		return NULL;
	for (size_t i = 0; i < policy_name_count(policy); i++) {
		struct policy_name name = policy_name_at(policy, i);

		policy_pin(policy, i, model_id(name.kind == POLICY_USER, name.name));
	}
	if (policy_compile(policy, &error) == MORTISE_OK)
		return policy;
	policy_free(policy);
	return NULL;
}

static struct fact fact_of(const char *text)
{
	return text != NULL ? (struct fact){FACT_KNOWN, text} : (struct fact){FACT_UNKNOWN, NULL};
}

static void draw_path(struct bytes *bytes, char path[PATH_SIZE])
{
	static const char *const likely[] = {"prod/db", "prod/db/key", "dev/x", "a", "prod/key"};
	static const char *const parts[] = {"prod", "/db", "/key", "/", "a", "dev/x", "b", "pd/b",
		"aaa/a", ".", "/d-y", "A", "prod/db", "x/y/z"};

	path[0] = '\0';
	if (draw(bytes, 4) != 3) {
		(void)snprintf(path, PATH_SIZE, "%s", PICK(bytes, likely));
		return;
	}
	for (unsigned more = 1 + draw(bytes, 3); more > 0; more--)
		(void)snprintf(
			path + strlen(path), PATH_SIZE - strlen(path), "%s", PICK(bytes, parts));
}

static struct model_question draw_question(struct bytes *bytes, char path[PATH_SIZE])
{
	static const uint32_t uids[] = {0, 7, 34, 1000, 34, 7, 1000, 0, 50, 7, 65534, UINT32_MAX};
	static const uint32_t groups[][2] = {{50, 7}, {84, 1}, {1050, 34}, {0, 65534}};
	static const char *const unit_names[] = {NULL, "a.service x.slice", "b.service",
		"a@x.service", "a@xy.service x.slice", "user@7.service user:a.service user:x.slice",
		"c.service"};
	static const char *const exe_names[] = {NULL, "/bin/a", "/bin/b", "/bin/a /bin/b"};
	static const char *const label_names[] = {
		NULL, "u:r:x_t:s0 x_t", "u:r:y_t:s0 y_t", "unconfined"};
	static const char *const socket_names[] = {NULL, "main", "web", "db"};
	static const char *const times[] = {"1793494800", "1795392000", "1795395600", "1795401000",
		"1795435200", "1795474740", "1795474800", "1792888200", "1806197400", "1893456000"};
	static const int shifts[] = {0, -1, 1, 3600, -3600, 86400, 43200, 5400};
	struct model_question question = {.uid = PICK(bytes, uids)};

	question.groups = groups[draw(bytes, 4)];
	question.group_count = draw(bytes, 8) == 7 ? 0 : 2;
	question.unit = PICK(bytes, unit_names);
	question.exe = PICK(bytes, exe_names);
	question.label = PICK(bytes, label_names);
	question.socket = PICK(bytes, socket_names);
	question.verb = PICK(bytes, verbs);
	question.now = (time_t)strtoll(PICK(bytes, times), NULL, 10);
	question.now += PICK(bytes, shifts);
	if (draw(bytes, 8) == 7)
		question.now = MODEL_NO_TIME;
	draw_path(bytes, path);
	if (draw(bytes, 8) != 7)
		question.path = path;
	return question;
}

static struct subject subject_of(const struct model_question *question)
{
	return (struct subject){.uid = question->uid,
		.groups = question->groups,
		.group_count = (size_t)question->group_count,
		.unit = fact_of(question->unit),
		.exe = fact_of(question->exe),
		.label = fact_of(question->label),
		.socket = fact_of(question->socket)};
}

/* What was not needed may be left out without a difference. */
static struct decision decide_with_needs(const struct policy *policy, const struct subject *subject,
	const struct model_question *question)
{
	struct subject asked = {.uid = subject->uid,
		.groups = subject->groups,
		.group_count = subject->group_count};
	unsigned needs;

	while ((needs = policy_needs(policy, &asked)) != 0) {
		if (needs >> ATTRIBUTE_UNIT & 1)
			asked.unit = subject->unit;
		if (needs >> ATTRIBUTE_EXE & 1)
			asked.exe = subject->exe;
		if (needs >> ATTRIBUTE_LABEL & 1)
			asked.label = subject->label;
		if (needs >> ATTRIBUTE_SOCKET & 1)
			asked.socket = subject->socket;
	}
	return policy_decide(
		policy, &asked, verb_of_name(question->verb), question->path, question->now);
}

static bool is_same(const struct decision *decision, const struct model_answer *answer)
{
	if (answer->rule < 0)
		return decision->rule == NULL && !decision->allowed;
	return decision->rule != NULL && decision->allowed == answer->allowed &&
	       decision->rule_number == (uint32_t)answer->rule &&
	       decision->rate.count == answer->rate_count &&
	       decision->rate.period_s == answer->rate_period_s;
}

static void complain(const char *text, const struct model_question *question,
	const struct decision *decision, const struct model_answer *answer)
{
	(void)fprintf(stderr,
		"%s\n%s %s by uid %u (groups %d) unit %s exe %s label %s socket %s at %lld:\n"
		"policy: %d rule %s, model: %d rule %d\n",
		text, question->verb, question->path ? question->path : "(none)", question->uid,
		question->group_count, question->unit ? question->unit : "?",
		question->exe ? question->exe : "?", question->label ? question->label : "?",
		question->socket ? question->socket : "?", (long long)question->now,
		decision->allowed, decision->rule ? decision->rule : "none", answer->allowed,
		answer->rule);
}

static bool ask(struct bytes *bytes, const char *text, const struct policy *policy,
	const struct model *model, struct policy_case_counts *counts)
{
	char path[PATH_SIZE];
	struct model_question question = draw_question(bytes, path);
	struct subject subject = subject_of(&question);
	struct model_answer answer;
	struct decision decision, lazy;

	if (path_is_valid(path, strlen(path)) != model_is_path(path)) {
		(void)fprintf(stderr, "is '%s' a path?\n", path);
		return false;
	}
	if (question.path != NULL && !model_is_path(path))
		return true;
	answer = model_decide(model, &question);
	decision = policy_decide(
		policy, &subject, verb_of_name(question.verb), question.path, question.now);
	lazy = decide_with_needs(policy, &subject, &question);
	counts->questions++;
	counts->allowed += decision.allowed;
	counts->denied_by_rule += !decision.allowed && decision.rule != NULL;
	if (is_same(&decision, &answer) && is_same(&lazy, &answer))
		return true;
	complain(text, &question, is_same(&decision, &answer) ? &lazy : &decision, &answer);
	return false;
}

static void count_line(void *context, const char *line)
{
	unsigned *lines = context;

	(void)line;
	(*lines)++;
}

struct idle {
	char title[24];
	bool does_nothing;
};

static void note_idle(void *context, const struct policy_warning *warning)
{
	struct idle *idle = context;

	idle->does_nothing |= strncmp(warning->text, idle->title, strlen(idle->title)) == 0 &&
			      (strstr(warning->text, "' does nothing") != NULL ||
				      strstr(warning->text, "' can never match") != NULL);
}

/* What to the comparison, or to a warning, makes no difference makes none to a decision. */
static bool is_without_difference(struct bytes *bytes, const struct policy *whole,
	const struct policy *less, const char *text, unsigned left_out)
{
	char path[PATH_SIZE];

	for (int i = 0; i < QUESTIONS; i++) {
		struct model_question question = draw_question(bytes, path);
		struct subject subject = subject_of(&question);
		enum verb verb = verb_of_name(question.verb);

		if (question.path != NULL && (!model_is_path(path) || verb >= VERB_AUDIT))
			continue;
		if (policy_decide(whole, &subject, verb, question.path, question.now).allowed !=
			policy_decide(less, &subject, verb, question.path, question.now).allowed) {
			(void)fprintf(stderr, "%s\nrule %u makes a difference\n", text, left_out);
			return false;
		}
	}
	return true;
}

/* The same policy without one of its rules. */
static bool agrees_without(struct bytes *bytes, const struct writer *writer,
	const struct policy *whole, unsigned left_out)
{
	struct policy_warning_options options = {.now = 0};
	struct idle idle = {"", false};
	char text[sizeof writer->text];
	struct policy *less;
	unsigned lines = 0;
	bool agrees = true;

	(void)snprintf(text, sizeof text, "%.*s%s", (int)writer->starts[left_out], writer->text,
		writer->text + writer->starts[left_out + 1]);
	(void)snprintf(idle.title, sizeof idle.title, "rule 'r%u'", left_out);
	less = compile(text);
	if (less == NULL || policy_compare(whole, less, count_line, &lines) != MORTISE_OK ||
		policy_warnings(whole, &options, note_idle, &idle) != MORTISE_OK)
		agrees = less == NULL;
	else if (lines == 0 || idle.does_nothing)
		agrees = is_without_difference(bytes, whole, less, writer->text, left_out);
	policy_free(less);
	return agrees;
}

void policy_cases_begin(void)
{
	(void)setenv("TZ", "Europe/Berlin", 1);
	tzset();
}

bool policy_case_agrees(const uint8_t *bytes, size_t size, struct policy_case_counts *counts)
{
	struct bytes left = {bytes, size};
	struct writer writer = {.bytes = &left};
	unsigned count = draw(&left, 9);
	struct model model;
	struct policy *policy;
	bool agrees;

	for (unsigned i = 0; i < count; i++) {
		put_rule(&writer, i);
		writer.starts[i + 1] = writer.used;
	}
	policy = compile(writer.text);
	agrees = model_read(&model, writer.text) == (policy != NULL);
	if (!agrees)
		(void)fprintf(stderr, "%s\nthe policy is %s, the model says otherwise\n",
			writer.text, policy != NULL ? "read" : "refused");
	counts->cases++;
	counts->policies += policy != NULL;
	for (int i = 0; agrees && policy != NULL && i < QUESTIONS; i++)
		agrees = ask(&left, writer.text, policy, &model, counts);
	for (unsigned i = 0; agrees && policy != NULL && i < count; i++)
		agrees = agrees_without(&left, &writer, policy, i);
	policy_free(policy);
	return agrees;
}
