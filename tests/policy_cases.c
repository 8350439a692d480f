/* SPDX-License-Identifier: ISC */
#include "policy_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "path.h"
#include "policy.h"
#include "policy_model.h"

#define QUESTIONS 8
#define PATH_SIZE 64

struct bytes {
	const uint8_t *at;
	size_t left;
};

struct writer {
	struct bytes *bytes;
	char text[8192];
	size_t used;
};

static unsigned draw(struct bytes *bytes, unsigned below)
{
	if (bytes->left == 0)
		return 0;
	bytes->left--;
	return *bytes->at++ % below;
}

#define PICK(bytes, words) ((words)[draw(bytes, sizeof(words) / sizeof((words)[0]))])

static void put(struct writer *writer, const char *text)
{
	int length = snprintf(
		writer->text + writer->used, sizeof writer->text - writer->used, "%s", text);

	if (length > 0 && (size_t)length < sizeof writer->text - writer->used)
		writer->used += (size_t)length;
	else
		writer->text[writer->used] = '\0';
}

static const char *const verbs[] = {
	"read", "read", "list", "write", "delete", "rotate", "audit", "admin"};
static const char *const patterns[] = {"**", "**", "prod/**", "prod/**", "prod/*", "prod/db", "*",
	"*/db", "**/key", "prod/db/*", "p*d/**b", "a*a*a/*", "**a**b", "dev/x", "prod/d*/*y",
	"*/*/*"};
static const char *const accounts[] = {"0", "7", "34", "1000", "root", "alice", "backup", "50"};
static const char *const units[] = {"a.service", "b.service", "a@*.service", "a@x.service",
	"a@x*.service", "user:a.service", "x.slice", "user:x.slice", "a@*y*.service"};
static const char *const exes[] = {"/bin/a", "/bin/b", "/bin/a/b"};
static const char *const labels[] = {"x_t", "y_t", "u:r:x_t:s0", "unconfined"};
static const char *const sockets[] = {"web", "main", "db"};
static const char *const hours[] = {"02:30-04:30", "22:00-01:00", "22:00-01:00Z", "00:00-24:00",
	"02:00-03:00Z", "23:59-00:00", "00:00-00:01", "12:00-12:01Z"};
static const char *const days[] = {"mon", "sun", "mon-fri", "sat-sun", "fri-mon", "wed"};
static const char *const ends[] = {"2026-11-23", "2026-11-23Z", "2026-11-23T12:00",
	"2030-01-01T00:00:01Z", "2026-10-25T02:30"};
static const char *const rates[] = {"20/h", "1/min", "60/h", "1000000/d", "1/d"};

/* Nearly right for one key or another. */
static const char *const wrong[] = {"", "reed", "Prod/a", "/a", "a//b", "a/", "***", "a/***", "..",
	"a/../b", "1/2/3/4/5/6/7/8/9", "034", "4294967295", "4294967296", "65534", "nobody",
	"ghost", "-1", "+x", "a,b", "%dba", "a@.service", "*.service", "a.timer", "-.slice",
	"user:", "user:a", "bin/a", "/", "/bin/", "/bin/..", "/bin/./a", "/bin//a", "/bin/...",
	".web", "a*", "2:30-04:30", "02:30-02:30", "24:00-01:00", "02:30-24:01", "02:60-03:00",
	"00:00-00:00", "mon-mon", "Mon", "monday", "mon-", "2026-02-30", "2026-13-01", "1969-12-31",
	"2026-11-23T24:00", "2026-11-23T", "2026-11-23z", "0/h", "020/h", "20/s", "1000001/h", "20",
	"/h", "20/h 20/h", "a\\x2db.scope", "a@**.service", "@a.service", "2999-12-31T23:59:59Z",
	"prod/a.b-c_d", "prod/.a", "prod/-a", "a.service.slice"};

static const struct {
	const char *key;
	const char *const *words;
	unsigned count;
} keys[] = {
#define KEY(key, words)                                                                            \
	{                                                                                          \
		key, words, sizeof(words) / sizeof((words)[0])                                     \
	}
	KEY("secret", patterns),
	KEY("user", accounts),
	KEY("group", accounts),
	KEY("unit", units),
	KEY("exe", exes),
	KEY("label", labels),
	KEY("socket", sockets),
	KEY("hours", hours),
	KEY("days", days),
	KEY("expires", ends),
	KEY("rate", rates),
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])
#define HOURS_KEY 7u /* and behind it days */

static void put_words(struct writer *writer, const char *const *words, unsigned count, bool is_one)
{
	unsigned more = is_one ? 0 : draw(writer->bytes, 3);

	do {
		put(writer, " ");
		if (draw(writer->bytes, 200) == 199)
			put(writer, PICK(writer->bytes, wrong));
		else
			put(writer, words[draw(writer->bytes, count)]);
	} while (more-- > 0);
	put(writer, draw(writer->bytes, 16) == 15 ? " ; why\n" : "\n");
}

/* Few conditions, so that rules match now and then. */
static void put_rule(struct writer *writer, unsigned number)
{
	unsigned choice = draw(writer->bytes, 16), chosen = 0;
	char header[32];

	(void)snprintf(
		header, sizeof header, "[rule r%u]\n", draw(writer->bytes, 100) == 99 ? 0 : number);
	put(writer, header);
	if (choice != 0)
		put(writer, choice < 5 ? "deny =" : "allow =");
	if (choice != 0)
		put_words(writer, verbs, sizeof verbs / sizeof verbs[0], false);
	for (unsigned more = draw(writer->bytes, 3); more > 0; more--)
		chosen |= 1u << draw(writer->bytes, KEY_COUNT);
	if (choice >= 5 && draw(writer->bytes, 16) != 15)
		chosen |= 1u | 2u << draw(writer->bytes, 4);
	if ((chosen >> HOURS_KEY & 1) && draw(writer->bytes, 2) == 0)
		chosen |= 2u << HOURS_KEY;
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		bool is_one =
			strcmp(keys[i].key, "expires") == 0 || strcmp(keys[i].key, "rate") == 0;

		if ((chosen >> i & 1) == 0 || (i == KEY_COUNT - 1 && choice < 5))
			continue;
		put(writer, keys[i].key);
		put(writer, " =");
		put_words(writer, keys[i].words, keys[i].count, is_one);
	}
	if (draw(writer->bytes, 64) == 63)
		put(writer, "# a comment\n\n; another\n");
	if (draw(writer->bytes, 200) == 199)
		put(writer, "color = red\n");
}

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

	for (unsigned i = 0; i < count; i++)
		put_rule(&writer, i);
	policy = compile(writer.text);
	agrees = model_read(&model, writer.text) == (policy != NULL);
	if (!agrees)
		(void)fprintf(stderr, "%s\nthe policy is %s, the model says otherwise\n",
			writer.text, policy != NULL ? "read" : "refused");
	counts->cases++;
	counts->policies += policy != NULL;
	for (int i = 0; agrees && policy != NULL && i < QUESTIONS; i++)
		agrees = ask(&left, writer.text, policy, &model, counts);
	policy_free(policy);
	return agrees;
}
