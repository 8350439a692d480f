/* SPDX-License-Identifier: ISC */
/*
 * Any text as a policy of one or two files: it is read or refused with a message, and every
 * decision by what was read names its rule.
 */
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void decide(const struct policy *policy)
{
	static const char *const paths[] = {NULL, "prod/db/password", "a"};
	static const uint32_t groups[] = {50, 0};

	for (uint32_t uid = 0; uid < 4; uid++) {
		struct subject subject = {.uid = uid, .groups = groups, .group_count = uid % 3};

		for (unsigned verb = VERB_READ; verb <= VERB_ADMIN; verb *= 2) {
			for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
				struct decision decision = policy_decide(
					policy, &subject, (enum verb)verb, paths[i], 0);

				require(!decision.allowed || decision.rule != NULL);
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *text = (const char *)bytes;
	const uint8_t *mark = memchr(bytes, 0xff, size);
	size_t first = mark ? (size_t)(mark - bytes) : size;
	size_t rest = mark ? first + 1 : size;
	const struct policy_file files[] = {{"a", text, first}, {"b", text + rest, size - rest}};
	struct policy_error error = {""};
	struct policy *policy = NULL;
	enum mortise_status status = policy_parse(files, 2, &policy, &error);

	require(status == MORTISE_OK ? policy != NULL : policy == NULL && error.text[0] != '\0');
	if (policy == NULL)
		return 0;
	for (size_t i = 0; i < policy_name_count(policy); i++)
		policy_pin(policy, i, (uint32_t)i % 5 == 4 ? 65534 : (uint32_t)i % 5);
	status = policy_compile(policy, &error);
	require(status == MORTISE_OK || error.text[0] != '\0');
	decide(policy);
	policy_free(policy);
	return 0;
}
