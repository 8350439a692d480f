/* SPDX-License-Identifier: ISC */
/*
 * What a decision costs when ever more rules name others: "rules N ns/decision", and the
 * ratios to the smallest. One allow by user, one by group and one deny for all concern the
 * subject; each other rule names a user and patterns of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policy.h"

#define DECISIONS 1000000u
#define RULE_SIZE 128

static double now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static char *write_policy(unsigned rules, size_t *out_size)
{
	size_t capacity = RULE_SIZE * ((size_t)rules + 3), used;
	char *text = malloc(capacity);

	if (text == NULL)
		abort();
	used = (size_t)snprintf(text, capacity,
		"[rule u]\nallow = read\nsecret = prod/db/* prod/s3/key\nuser = 34\n"
		"[rule g]\nallow = list\nsecret = prod/**\ngroup = 50\n"
		"[rule d]\ndeny = read\nsecret = prod/ca/**\n");
	for (unsigned i = 3; i < rules; i++)
		used += (size_t)snprintf(text + used, capacity - used,
			"[rule r%u]\nallow = read list\nsecret = prod/app%u/**\nuser = %u\n", i, i,
			100000 + i);
	*out_size = used;
	return text;
}

static struct policy *build(unsigned rules)
{
	struct policy_error error;
	struct policy_file file = {.name = "bench"};
	struct policy *policy;
	char *text = write_policy(rules, &file.size);

	file.text = text;
	if (policy_parse(&file, 1, &policy, &error) != MORTISE_OK ||
		policy_compile(policy, &error) != MORTISE_OK) {
		(void)fprintf(stderr, "%s\n", error.text);
		exit(1);
	}
	free(text);
	return policy;
}

static double measure(const struct policy *policy)
{
	static const uint32_t groups[] = {34, 50, 4, 27};
	static const char *const paths[] = {"prod/db/password", "prod/s3/key"};
	const struct subject subject = {.uid = 34, .groups = groups, .group_count = 4};
	unsigned allowed = 0;
	double start = now_ns();

	for (unsigned i = 0; i < DECISIONS; i++)
		allowed += policy_decide(policy, &subject, VERB_READ, paths[i & 1], 0).allowed;
	if (allowed != DECISIONS)
		abort();
	return (now_ns() - start) / DECISIONS;
}

int main(void)
{
	static const unsigned sizes[] = {10, 1000, 100000};
	double first = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		double start = now_ns(), built, cost;
		struct policy *policy = build(sizes[i]);

		built = now_ns() - start;
		cost = measure(policy);
		first = i == 0 ? cost : first;
		(void)printf("rules %6u  %7.1f ns/decision  ratio %.2f  built in %.1f ms\n",
			sizes[i], cost, cost / first, built / 1e6);
		policy_free(policy);
	}
	return 0;
}
