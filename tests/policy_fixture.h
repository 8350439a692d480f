/* SPDX-License-Identifier: ISC */
/* policy_fixture: policies from text, with a name service of a few accounts. */
#ifndef MORTISE_TESTS_POLICY_FIXTURE_H
#define MORTISE_TESTS_POLICY_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "policy.h"

#define ALLOW "[rule a]\nallow = read\nsecret = prod/**\n"

static const struct {
	enum policy_name_kind kind;
	const char *name;
	uint32_t id;
} accounts[] = {
	{POLICY_USER, "root", 0},
	{POLICY_USER, "backup", 34},
	{POLICY_USER, "alice", 1000},
	{POLICY_USER, "ghost", 65534},
	{POLICY_GROUP, "dba", 50},
	{POLICY_GROUP, "backup", 34000},
	{POLICY_GROUP, "nogroup", 65534},
};

static struct policy_error error;

static enum mortise_status parse(const char *text, struct policy **out_policy)
{
	struct policy_file file = {"p", text, strlen(text)};

	memset(&error, 0, sizeof error);
	return policy_parse(&file, 1, out_policy, &error);
}

static void pin_known(struct policy *policy)
{
	for (size_t i = 0; i < policy_name_count(policy); i++) {
		struct policy_name name = policy_name_at(policy, i);

		for (size_t j = 0; j < sizeof accounts / sizeof accounts[0]; j++)
			if (name.kind == accounts[j].kind &&
				strcmp(name.name, accounts[j].name) == 0)
				policy_pin(policy, i, accounts[j].id);
	}
}

static inline struct policy *compile(const char *text)
{
	struct policy *policy = NULL;

	if (parse(text, &policy) != MORTISE_OK)
		fail_msg("%s", error.text);
	pin_known(policy);
	if (policy_compile(policy, &error) != MORTISE_OK)
		fail_msg("%s", error.text);
	return policy;
}

static inline struct decision ask(
	const struct policy *policy, uint32_t uid, uint32_t gid, enum verb verb, const char *path)
{
	const uint32_t groups[] = {gid + 7, gid};
	struct subject subject = {.uid = uid, .groups = groups, .group_count = 2};

	return policy_decide(policy, &subject, verb, path, 0);
}

static inline void allows(
	const char *text, uint32_t uid, uint32_t gid, enum verb verb, const char *path)
{
	struct policy *policy = compile(text);

	assert_true(ask(policy, uid, gid, verb, path).allowed);
	policy_free(policy);
}

static inline void denies(
	const char *text, uint32_t uid, uint32_t gid, enum verb verb, const char *path)
{
	struct policy *policy = compile(text);

	assert_false(ask(policy, uid, gid, verb, path).allowed);
	policy_free(policy);
}

#endif
