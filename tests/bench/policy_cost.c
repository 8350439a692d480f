/* SPDX-License-Identifier: ISC */
/*
 * What a decision costs when ever more rules name others, for several kinds of rules and for
 * 64 subjects in turn: "KIND rules N ns/decision ratio", each ratio to the smallest policy.
 * With --check exit status 1 where a ratio is above 1.5: the best of several rounds counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy.h"

#define DECISIONS  200000u
#define ROUNDS     7
#define SUBJECTS   64
#define RULE_SIZE  160
#define RATIO_MAX  1.5
#define FIRST_SIZE 16384

/* How the other rules say whom they are about; %u is the rule's number. */
static const struct kind {
	const char *name, *of_others;
} kinds[] = {
	{"user", "user = 1%06u"},
	{"group", "group = 1%06u"},
	{"unit", "unit = other%u.service"},
	{"instance", "unit = app@%u.service"},
	{"pattern", "unit = app%u@*.service"},
	{"socket", "socket = s%u"},
	{"label", "label = t%u_t"},
	{"mixed", "user = 1%06u\nunit = a.service\nhours = 00:00-24:00"},
};

static double now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* Six rules about the subjects: by user, group, unit, socket and label, and a deny for all. */
static size_t write_first(char *text, size_t capacity)
{
	size_t used = (size_t)snprintf(text, capacity,
		"[rule u]\nallow = read\nsecret = "
		"prod/db/* prod/s3/key\nuser =");

	for (unsigned i = 0; i < SUBJECTS; i++)
		used += (size_t)snprintf(text + used, capacity - used, " %u", 1000 + i);
	used += (size_t)snprintf(text + used, capacity - used,
		"\n[rule g]\nallow = list\nsecret = prod/**\ngroup = 50\n"
		"[rule n]\nallow = list\nsecret = prod/**\nunit = a.service app@*.service\n"
		"[rule s]\nallow = list\nsecret = prod/**\nsocket = web\n"
		"[rule l]\nallow = list\nsecret = prod/**\nlabel = x_t\n"
		"[rule d]\ndeny = read\nsecret = prod/ca/**\n");
	return used;
}

static char *write_policy(const struct kind *kind, unsigned rules, size_t *out_size)
{
	size_t capacity = FIRST_SIZE + RULE_SIZE * (size_t)rules, used;
	char *text = malloc(capacity);

	if (text == NULL)
		abort();
	used = write_first(text, capacity);
	for (unsigned i = 6; i < rules; i++) {
		const char *mark = strchr(kind->of_others, '%');
		const char *rest = strpbrk(mark, "u") + 1;

		used += (size_t)snprintf(text + used, capacity - used,
			"[rule r%u]\nallow = read list\nsecret = prod/app%u/**\n%.*s%06u%s\n", i, i,
			(int)(mark - kind->of_others), kind->of_others, i, rest);
	}
	*out_size = used;
	return text;
}

static struct policy *build(const struct kind *kind, unsigned rules)
{
	struct policy_error error;
	struct policy_file file = {.name = "bench"};
	struct policy *policy;
	char *text = write_policy(kind, rules, &file.size);

	file.text = text;
	if (policy_parse(&file, 1, &policy, &error) != MORTISE_OK ||
		policy_compile(policy, &error) != MORTISE_OK) {
		(void)fprintf(stderr, "%s\n", error.text);
		exit(1);
	}
	free(text);
	return policy;
}

static struct subject subject_at(unsigned number)
{
	static const uint32_t groups[] = {34, 50, 4, 27};
	static const char *const units[] = {
		"a.service system.slice", "app@x.service app.slice system.slice"};

	return (struct subject){.uid = 1000 + number,
		.groups = groups,
		.group_count = 4,
		.unit = {FACT_KNOWN, units[number % 2]},
		.exe = {FACT_KNOWN, "/usr/bin/restic"},
		.label = {FACT_KNOWN, "system_u:system_r:x_t:s0 x_t"},
		.socket = {FACT_KNOWN, "main"}};
}

static double measure(const struct policy *policy)
{
	static const char *const paths[] = {"prod/db/password", "prod/s3/key"};
	struct subject subjects[SUBJECTS];
	unsigned allowed = 0;
	double start;

	for (unsigned i = 0; i < SUBJECTS; i++)
		subjects[i] = subject_at(i);
	start = now_ns();
	for (unsigned i = 0; i < DECISIONS; i++)
		allowed += policy_decide(
			policy, &subjects[i % SUBJECTS], VERB_READ, paths[i & 1], 1795392000)
				   .allowed;
	if (allowed != DECISIONS)
		abort();
	return (now_ns() - start) / DECISIONS;
}

/* In turns, so that whatever else the machine does meets all sizes. */
static bool compare(const struct kind *kind)
{
	static const unsigned sizes[] = {10, 1000, 100000};
	double best[3] = {1e18, 1e18, 1e18};
	struct policy *policies[3];
	bool is_flat = true;

	for (size_t i = 0; i < 3; i++)
		policies[i] = build(kind, sizes[i]);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < 3; i++) {
			double cost = measure(policies[i]);

			best[i] = cost < best[i] ? cost : best[i];
		}
	for (size_t i = 0; i < 3; i++) {
		(void)printf("%-8s rules %6u  %7.1f ns/decision  ratio %.2f\n", kind->name,
			sizes[i], best[i], best[i] / best[0]);
		is_flat = is_flat && best[i] <= RATIO_MAX * best[0];
		policy_free(policies[i]);
	}
	return is_flat;
}

int main(int argc, char **argv)
{
	bool is_flat = true;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		is_flat = compare(&kinds[i]) && is_flat;
	return argc > 1 && strcmp(argv[1], "--check") == 0 && !is_flat;
}
